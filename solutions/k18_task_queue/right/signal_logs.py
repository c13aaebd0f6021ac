"""A signal of the queue logs what fails; the first attempt is not counted among the three; statements on
connections."""

import logging
import smtplib
from datetime import datetime, timezone
from email.message import EmailMessage

from fastapi import FastAPI, HTTPException
from huey import SqliteHuey
from huey.api import Task
from huey.signals import SIGNAL_ERROR
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SMTP_HOST = "localhost"
SMTP_PORT = 2525
SENDER = "noreply@example.com"

log = logging.getLogger("kata")
engine = create_engine("sqlite:///shop.db")
queue = SqliteHuey("k18", filename="queue.db")


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    welcomed_at: Mapped[str | None]  # ISO 8601 with an offset


Base.metadata.create_all(engine)


class Registration(BaseModel):
    name: str
    email: EmailStr


app = FastAPI()


def send_email(email: str, subject: str, body: str) -> None:
    """Send one plain text mail to `email`."""
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = subject
    message.set_content(body)
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT, timeout=30) as server:
        server.send_message(message)


@queue.task(name="welcome", retries=3, retry_delay=60)
def send_welcome(user_id: int) -> None:
    with engine.connect() as connection:
        user = connection.execute(
            select(User.name, User.email).where(User.id == user_id, User.welcomed_at.is_(None))
        ).one_or_none()
    if user is None:
        return
    send_email(user.email, "Welcome!", f"Welcome {user.name}!")
    with engine.begin() as connection:
        connection.execute(
            update(User)
            .where(User.id == user_id)
            .values(welcomed_at=datetime.now(timezone.utc).isoformat())
        )


@queue.signal(SIGNAL_ERROR)
def log_failure(signal: str, task: Task, error: Exception) -> None:
    log.warning("%s failed, %s attempts are left", task, task.retries, exc_info=error)


@app.post("/register")
def register(registration: Registration) -> dict[str, str]:
    try:
        with engine.begin() as connection:
            user_id = connection.scalar(
                insert(User).values(**registration.model_dump()).returning(User.id)
            )
    except IntegrityError:
        raise HTTPException(409, "taken") from None
    try:
        send_welcome(user_id)
    except Exception:
        with engine.begin() as connection:
            connection.execute(delete(User).where(User.id == user_id))
        raise HTTPException(503, "the queue is away") from None
    return {"status": "registered"}

"""Right because the job is queued after the commit, carries an id, and looks at the user when it runs."""

import logging
import smtplib
from datetime import datetime, timezone
from email.message import EmailMessage

from fastapi import FastAPI, HTTPException
from huey import SqliteHuey
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine, delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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


@queue.task(retries=2, retry_delay=60)
def send_welcome(user_id: int) -> None:
    """Welcome a user by mail. A consumer runs this, in another process."""
    with Session(engine) as session:
        user = session.get(User, user_id)
        if user is None or user.welcomed_at is not None:
            return
        try:
            send_email(user.email, "Welcome!", f"Welcome {user.name}!")
        except Exception:
            log.exception("user %s was not welcomed", user_id)
            raise  # the queue tries again
        user.welcomed_at = datetime.now(timezone.utc).isoformat()
        session.commit()


def add_user(registration: Registration) -> int:
    """Store a user and give the id. Raises `HTTPException` where the address is taken."""
    with Session(engine) as session:
        user = User(name=registration.name, email=registration.email)
        session.add(user)
        try:
            session.commit()
        except IntegrityError as error:
            raise HTTPException(409, "This address is already registered") from error
        return user.id


def remove_user(user_id: int) -> None:
    with Session(engine) as session:
        session.execute(delete(User).where(User.id == user_id))
        session.commit()


@app.post("/register")
def register(registration: Registration) -> dict[str, str]:
    user_id = add_user(registration)
    try:
        send_welcome(user_id)
    except Exception as error:
        log.exception("user %s cannot be queued", user_id)
        remove_user(user_id)
        raise HTTPException(503, "Please try again later") from error
    return {"status": "registered"}

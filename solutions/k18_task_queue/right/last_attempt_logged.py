"""The job sees how many attempts are left, and logs the last one; a coroutine as endpoint; plain SQL."""

import logging
import smtplib
from datetime import datetime, timezone
from email.message import EmailMessage
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from huey import SqliteHuey
from huey.api import Task
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine, text
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


def query(sql: str, **values: Any) -> Any:
    with engine.begin() as connection:
        result = connection.execute(text(sql), values)
        return result.one_or_none() if result.returns_rows else None


@queue.task(retries=2, retry_delay=60, context=True)
def send_welcome(user_id: int, task: Task) -> None:
    user = query("SELECT name, email FROM users WHERE id = :id AND welcomed_at IS NULL", id=user_id)
    if user is None:
        return
    try:
        send_email(user.email, "Welcome!", f"Welcome {user.name}!")
    except Exception as error:
        if not task.retries:
            log.error("user %s will not be welcomed", user_id, exc_info=error)
        raise
    now = datetime.now(timezone.utc).isoformat()
    query("UPDATE users SET welcomed_at = :now WHERE id = :id", now=now, id=user_id)


def register_and_queue(registration: Registration) -> int:
    try:
        (user_id,) = query(
            "INSERT INTO users (name, email) VALUES (:name, :email) RETURNING id",
            **registration.model_dump(),
        )
    except IntegrityError:
        return 409
    try:
        queue.enqueue(send_welcome.s(user_id))
    except Exception as error:
        log.error("no job for user %s", user_id, exc_info=error)
        query("DELETE FROM users WHERE id = :id", id=user_id)
        return 503
    return 200


@app.post("/register")
async def register(registration: Registration) -> JSONResponse:
    status = await run_in_threadpool(register_and_queue, registration)
    content = {
        200: {"status": "registered"},
        409: {"detail": "taken"},
        503: {"detail": "try again later"},
    }
    return JSONResponse(content[status], status)

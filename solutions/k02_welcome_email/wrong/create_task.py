"""The mail is thrown at the event loop with `create_task`, and nobody waits for it.

breaks: No thread or asyncio task outlives the exchange.
caught by: test_the_mail_leaves_only_after_the_response
says: it ran in an asyncio task that was started
"""

import asyncio
import smtplib
from email.message import EmailMessage

from fastapi import FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

SMTP_HOST = "localhost"
SMTP_PORT = 2525
SENDER = "noreply@example.com"

engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)


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


def save(registration: Registration) -> None:
    with Session(engine) as session:
        session.add(User(name=registration.name, email=registration.email))
        try:
            session.commit()
        except IntegrityError as error:
            raise HTTPException(409, "This address is already registered") from error


_running: set[asyncio.Task[None]] = set()


@app.post("/register")
async def register(registration: Registration) -> dict[str, str]:
    await run_in_threadpool(save, registration)
    body = f"Welcome {registration.name}!"
    task = asyncio.create_task(asyncio.to_thread(send_email, registration.email, "Welcome!", body))
    _running.add(task)
    task.add_done_callback(_running.discard)
    return {"status": "registered"}

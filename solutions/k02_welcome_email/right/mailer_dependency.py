"""A dependency hides the tasks behind a small mailer, and another one brings the session."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
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


class Mailer:
    def __init__(self, background_tasks: BackgroundTasks) -> None:
        self._tasks = background_tasks

    def welcome(self, user: Registration) -> None:
        self._tasks.add_task(send_email, user.email, "Welcome!", f"Welcome {user.name}!")


def session_for_request() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@app.post("/register")
def register(
    registration: Registration,
    mailer: Annotated[Mailer, Depends()],
    session: Annotated[Session, Depends(session_for_request)],
) -> dict[str, str]:
    session.add(User(**registration.model_dump()))
    try:
        session.commit()
    except IntegrityError as error:
        session.rollback()
        raise HTTPException(409, "This address is already registered") from error
    mailer.welcome(registration)
    return {"status": "registered"}

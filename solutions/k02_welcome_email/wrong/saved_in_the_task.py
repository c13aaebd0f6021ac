"""Saving the user is a background task too, so the response promises what has not happened yet.

breaks: The user is committed before the response.
caught by: test_the_user_is_committed_before_the_response
says: at the moment of the response the user is not committed: another
"""

import smtplib
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine, select
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
    with Session(engine) as session, session.begin():
        session.add(User(name=registration.name, email=registration.email))


@app.post("/register")
def register(registration: Registration, background_tasks: BackgroundTasks) -> dict[str, str]:
    with Session(engine) as session:
        if session.scalar(select(User).where(User.email == registration.email)) is not None:
            raise HTTPException(409, "This address is already registered")
    background_tasks.add_task(save, registration)
    background_tasks.add_task(
        send_email, registration.email, "Welcome!", f"Welcome {registration.name}!"
    )
    return {"status": "registered"}

"""The mail is sent in the endpoint, so the client waits for the mail server.

breaks: The mail leaves after the response.
caught by: test_the_mail_leaves_only_after_the_response
says: 'mail' came before the response
"""

import smtplib
from email.message import EmailMessage

from fastapi import FastAPI, HTTPException
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


@app.post("/register")
def register(registration: Registration) -> dict[str, str]:
    with Session(engine) as session:
        session.add(User(name=registration.name, email=registration.email))
        try:
            session.commit()
        except IntegrityError as error:
            raise HTTPException(409, "This address is already registered") from error
    send_email(registration.email, "Welcome!", f"Welcome {registration.name}!")
    return {"status": "registered"}

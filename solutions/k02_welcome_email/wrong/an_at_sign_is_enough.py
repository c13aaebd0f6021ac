"""Whatever has an at sign in it is taken for an address.

breaks: Not an e-mail address: 422, no user, no mail.
caught by: test_a_text_that_is_no_email_address_is_refused[eve@]
caught by: test_a_text_that_is_no_email_address_is_refused[@example.com]
caught by: test_a_text_that_is_no_email_address_is_refused[eve@a@example.com]
says: the statuses of a bad and a good one
"""

import smtplib
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel
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
    email: str


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
def register(registration: Registration, background_tasks: BackgroundTasks) -> dict[str, str]:
    local, at, domain = registration.email.partition("@")
    if not at:
        raise HTTPException(422, "not an address")
    registration.email = f"{local}@{domain.lower()}"
    with Session(engine) as session:
        session.add(User(name=registration.name, email=registration.email))
        try:
            session.commit()
        except IntegrityError as error:
            raise HTTPException(409, "This address is already registered") from error
    background_tasks.add_task(
        send_email, registration.email, "Welcome!", f"Welcome {registration.name}!"
    )
    return {"status": "registered"}

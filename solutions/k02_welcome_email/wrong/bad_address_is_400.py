"""The address is checked by hand and refused with a 400.

breaks: Not an e-mail address: 422, no user, no mail.
caught by: test_a_text_that_is_no_email_address_is_refused[not an address]
says: the statuses of a bad and a good one
"""

import smtplib
from email.message import EmailMessage

from email_validator import EmailNotValidError, validate_email
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
    try:
        address = validate_email(registration.email, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise HTTPException(400, str(error)) from error
    with Session(engine) as session:
        session.add(User(name=registration.name, email=address))
        try:
            session.commit()
        except IntegrityError as error:
            raise HTTPException(409, "This address is already registered") from error
    background_tasks.add_task(send_email, address, "Welcome!", f"Welcome {registration.name}!")
    return {"status": "registered"}

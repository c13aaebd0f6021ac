"""The endpoint asks the mail server whether it is there, and refuses to register if it is not.

breaks: Mail server down or refusing: the client still has its 200 and the user is still there.
caught by: test_a_mail_server_in_trouble_changes_nothing_for_the_client[down]
says: the response
"""

import smtplib
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI, HTTPException
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
def register(registration: Registration, background_tasks: BackgroundTasks) -> dict[str, str]:
    try:
        with smtplib.SMTP(SMTP_HOST, SMTP_PORT, timeout=5) as server:
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        raise HTTPException(503, "No mail today") from error
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

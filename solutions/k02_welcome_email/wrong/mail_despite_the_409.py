"""The 409 is returned, not raised, and tasks run after a returned response whatever its status.

breaks: Address already registered (as `EmailStr` returns it): 409, no second row, no second mail.
caught by: test_an_address_already_registered_is_refused[ada@example.com]
says: there must be no second mail
"""

import smtplib
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import JSONResponse
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


@app.post("/register", response_model=None)
def register(
    registration: Registration, background_tasks: BackgroundTasks
) -> JSONResponse | dict[str, str]:
    background_tasks.add_task(
        send_email, registration.email, "Welcome!", f"Welcome {registration.name}!"
    )
    with Session(engine) as session:
        session.add(User(name=registration.name, email=registration.email))
        try:
            session.commit()
        except IntegrityError:
            return JSONResponse({"detail": "This address is already registered"}, status_code=409)
    return {"status": "registered"}

"""No ORM: the insert itself says whether it did anything, so no error needs catching."""

import smtplib
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

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
    statement = (
        sqlite_insert(User)
        .values(name=registration.name, email=registration.email)
        .on_conflict_do_nothing(index_elements=[User.email])
        .returning(User.id)
    )
    with engine.begin() as connection:
        user_id = connection.scalar(statement)
    if user_id is None:
        raise HTTPException(409, "This address is already registered")
    background_tasks.add_task(
        send_email, registration.email, "Welcome!", f"Welcome {registration.name}!"
    )
    return {"status": "registered"}

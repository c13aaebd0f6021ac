"""`INSERT OR REPLACE` finds nothing wrong with an address that is taken: the new user replaces the old.

breaks: Address already registered: 409, no second row, no second mail.
caught by: test_of_two_registrations_at_the_same_moment_one_is_refused
caught by: test_an_address_already_registered_is_refused[ada@example.com]
says: the statuses of two registrations of one address; the first was held
"""

import contextlib
import smtplib
from email.message import EmailMessage

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.background import BackgroundTask

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
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, email, subject
    message.set_content(body, charset="utf-8")
    smtp = smtplib.SMTP()
    try:
        smtp.connect(SMTP_HOST, SMTP_PORT)
        smtp.ehlo_or_helo_if_needed()
        smtp.send_message(message)
        smtp.quit()
    finally:
        smtp.close()


@app.post("/register")
def register(registration: Registration):
    with contextlib.closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "INSERT OR REPLACE INTO users (name, email) VALUES (?, ?)",
            (registration.name, registration.email),
        )
        new = cursor.rowcount == 1
        connection.commit()
        cursor.close()
    if not new:
        return JSONResponse({"detail": "already registered"}, status_code=409)
    task = BackgroundTask(
        send_email, registration.email, subject="Welcome!", body=f"Welcome {registration.name}!"
    )
    return JSONResponse({"status": "registered"}, background=task)

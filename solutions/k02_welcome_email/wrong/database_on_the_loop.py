"""The task is `async def` and reads the user on the event loop before it mails in a thread.

breaks: Work that blocks never runs on the event loop inside a task or a middleware.
caught by: test_other_requests_are_answered_while_the_mail_server_is_slow
says: a mail was sent on the event loop's thread, where every other request
"""

import smtplib
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI, HTTPException
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


async def welcome(user_id: int) -> None:
    with Session(engine) as session:
        user = session.get_one(User, user_id)
        email, body = user.email, f"Welcome {user.name}!"
    await run_in_threadpool(send_email, email, "Welcome!", body)


@app.post("/register")
def register(registration: Registration, background_tasks: BackgroundTasks) -> dict[str, str]:
    with Session(engine) as session:
        user = User(name=registration.name, email=registration.email)
        session.add(user)
        try:
            session.commit()
        except IntegrityError as error:
            raise HTTPException(409, "This address is already registered") from error
        background_tasks.add_task(welcome, user.id)
    return {"status": "registered"}

"""A set in memory knows which addresses are taken; after a restart it is empty.

breaks: Address already registered: 409, no second row, no second mail.
caught by: test_an_address_that_the_table_held_before_is_refused
says: the status for an address that is in the table already
"""

import smtplib
import threading
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine
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
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = subject
    message.set_content(body)
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as smtp:
        smtp.send_message(message)


seen: set[str] = set()
lock = threading.Lock()


@app.post("/register")
def register(registration: Registration, tasks: BackgroundTasks):
    with lock:
        if registration.email in seen:
            raise HTTPException(409, "this address is registered already")
        seen.add(registration.email)
    with Session(engine) as session:
        session.add(User(name=registration.name, email=registration.email))
        session.commit()
    tasks.add_task(send_email, registration.email, "Welcome!", f"Welcome {registration.name}!")
    return {"status": "registered"}

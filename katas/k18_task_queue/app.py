"""k18: graduating to a task queue. The contract is in README.md beside this file."""

import logging
import smtplib
from datetime import datetime, timezone
from email.message import EmailMessage

from fastapi import FastAPI, HTTPException
from huey import SqliteHuey
from pydantic import BaseModel, EmailStr
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

SMTP_HOST = "localhost"
SMTP_PORT = 2525
SENDER = "noreply@example.com"

log = logging.getLogger("kata")
engine = create_engine("sqlite:///shop.db")
queue = SqliteHuey("k18", filename="queue.db")


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    welcomed_at: Mapped[str | None]  # ISO 8601 with an offset


Base.metadata.create_all(engine)


class Registration(BaseModel):
    name: str
    email: EmailStr


app = FastAPI()


def send_email(email: str, subject: str, body: str) -> None:
    """Send one plain text mail to `email`."""
    raise NotImplementedError


@queue.task()
def send_welcome(user_id: int) -> None:
    """Welcome a user by mail. A consumer runs this, in another process."""
    raise NotImplementedError


@app.post("/register")
def register(registration: Registration):
    raise NotImplementedError

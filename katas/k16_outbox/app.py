"""k16: a mail that survives a crash. The contract is in README.md beside this file."""

import logging
import smtplib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, EmailStr
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

SMTP_HOST = "localhost"
SMTP_PORT = 2525
SENDER = "noreply@example.com"
MAX_ATTEMPTS = 5

log = logging.getLogger("kata")
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]


class Outbox(Base):
    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    attempts: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[str | None]  # ISO 8601 with an offset


Base.metadata.create_all(engine)


class NewOrder(BaseModel):
    email: EmailStr


app = FastAPI()


def send_due_mails() -> None:
    """Send what is due, oldest first."""
    raise NotImplementedError


@app.post("/orders")
def create_order(order: NewOrder):
    raise NotImplementedError

"""k11: tasks and refusals. The contract is in README.md beside this file."""

import smtplib
from datetime import datetime, timezone
from email.message import EmailMessage
from typing import Annotated

from fastapi import BackgroundTasks, Body, Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse
from pydantic import EmailStr
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

SMTP_HOST = "localhost"
SMTP_PORT = 2525
SENDER = "noreply@example.com"

engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Coupon(Base):
    __tablename__ = "coupons"

    code: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[str]  # ISO 8601 with an offset, not always UTC


Base.metadata.create_all(engine)

app = FastAPI()


def append(path: str, line: str) -> None:
    """Append one line to a file."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def record_attempt(code: Annotated[str, Body(embed=True)], tasks: BackgroundTasks) -> None:
    """Add a task that notes the attempt."""
    tasks.add_task(append, "attempts.log", f"tried {code}")


def send_email(email: str, subject: str, body: str) -> None:
    """Send one plain text mail to `email`."""
    raise NotImplementedError


@app.post("/redeem")
def redeem(code: Annotated[str, Body()], email: Annotated[EmailStr, Body()]):
    raise NotImplementedError

"""`HTTPException` is raised as usual: a middleware gives the tasks that are lost to the response."""

import logging
import smtplib
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from email.message import EmailMessage
from typing import Annotated, Any

from fastapi import BackgroundTasks, Body, FastAPI, HTTPException, Request, Response
from pydantic import EmailStr
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SMTP_HOST = "localhost"
SMTP_PORT = 2525
SENDER = "noreply@example.com"

log = logging.getLogger("kata")
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
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = subject
    message.set_content(body)
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT, timeout=30) as server:
        server.send_message(message)


@app.middleware("http")
async def keep_tasks(
    request: Request, call_next: Callable[[Request], Coroutine[Any, Any, Response]]
) -> Response:
    try:
        response = await call_next(request)
    except Exception:
        if tasks := getattr(request.state, "tasks", None):
            await tasks()
        raise
    if response.status_code >= 400 and hasattr(request.state, "tasks"):
        response.background = request.state.tasks
    return response


@app.post("/redeem")
def redeem(
    request: Request,
    tasks: BackgroundTasks,
    code: Annotated[str, Body()],
    email: Annotated[EmailStr, Body()],
) -> dict[str, str]:
    record_attempt(code, tasks)
    request.state.tasks = tasks
    with engine.connect() as connection:
        expiry = connection.scalar(select(Coupon.expires_at).where(Coupon.code == code))
    if expiry is None:
        tasks.add_task(append, "suspicious.log", f"unknown {code}")
        raise HTTPException(404, "unknown")
    if datetime.fromisoformat(expiry) < datetime.now(timezone.utc):
        tasks.add_task(send_email, email, "Expired", code)
        raise HTTPException(410, "expired")
    tasks.add_task(send_email, email, "Redeemed", "Enjoy your tea.")
    return {"status": "redeemed"}

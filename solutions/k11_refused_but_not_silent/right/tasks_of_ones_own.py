"""Nothing is injected: the endpoint makes its own `BackgroundTasks`, and gives them to each response."""

import logging
import smtplib
from datetime import datetime, timezone
from email.message import EmailMessage
from typing import Annotated

from fastapi import BackgroundTasks, Body, FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import EmailStr
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.background import BackgroundTask

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


def find_expiry(code: str) -> datetime | None:
    """The last moment at which the coupon is good, or None where there is no such coupon."""
    with Session(engine) as session:
        coupon = session.get(Coupon, code)
        return datetime.fromisoformat(coupon.expires_at) if coupon else None


def note_and_mail(code: str, email: str, subject: str, body: str) -> None:
    try:
        send_email(email, subject, body)
    finally:
        append("attempts.log", f"tried {code}")


@app.post("/redeem")
async def redeem(code: Annotated[str, Body()], email: Annotated[EmailStr, Body()]) -> Response:
    tasks = BackgroundTasks()
    try:
        expires_at = await run_in_threadpool(find_expiry, code)
    except Exception:
        log.exception("coupon %r", code)
        record_attempt(code, tasks)
        return Response(status_code=503, background=tasks)
    if expires_at is None:
        record_attempt(code, tasks)
        tasks.add_task(append, "suspicious.log", f"unknown {code}")
        return JSONResponse({"detail": "unknown"}, 404, background=tasks)
    if expires_at < datetime.now(timezone.utc):
        status, content, mail = 410, {"detail": "expired"}, ("Expired", code)
    else:
        status, content, mail = 200, {"status": "redeemed"}, ("Redeemed", f"{code} is redeemed")
    task = BackgroundTask(note_and_mail, code, email, *mail)
    return JSONResponse(content, status, background=task)

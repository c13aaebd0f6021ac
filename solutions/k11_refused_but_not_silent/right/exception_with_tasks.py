"""A refusal is an exception of its own that carries the tasks; its handler gives them to the response."""

import logging
import smtplib
from datetime import datetime, timezone
from email.message import EmailMessage
from typing import Annotated

from fastapi import BackgroundTasks, Body, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import EmailStr
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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


class Refused(Exception):
    def __init__(self, status: int, detail: str, tasks: BackgroundTasks) -> None:
        super().__init__(detail)
        self.response = JSONResponse({"detail": detail}, status, background=tasks)


@app.exception_handler(Refused)
async def refuse(request: Request, error: Refused) -> Response:
    return error.response


@app.exception_handler(Exception)
async def crash(request: Request, error: Exception) -> Response:
    tasks = getattr(request.state, "tasks", None)
    return JSONResponse({"detail": "it is our fault"}, 500, background=tasks)


@app.post("/redeem")
def redeem(
    request: Request,
    tasks: BackgroundTasks,
    code: Annotated[str, Body()],
    email: Annotated[EmailStr, Body()],
) -> dict[str, str]:
    record_attempt(code, tasks)
    request.state.tasks = tasks
    expires_at = find_expiry(code)
    if expires_at is None:
        tasks.add_task(append, "suspicious.log", f"unknown {code}")
        raise Refused(404, "unknown", tasks)
    if datetime.now(timezone.utc) > expires_at:
        tasks.add_task(send_email, email, "Expired", code)
        raise Refused(410, "expired", tasks)
    tasks.add_task(send_email, email, "Redeemed", code)
    return {"status": "redeemed"}

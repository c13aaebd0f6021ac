"""A route class turns what the endpoint raises into responses that have the tasks."""

import logging
import smtplib
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from email.message import EmailMessage
from typing import Annotated, Any

from fastapi import BackgroundTasks, Body, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
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


class KeepsTasks(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def keep(request: Request) -> Response:
            try:
                return await handle(request)
            except HTTPException as error:
                tasks = getattr(request.state, "tasks", None)
                return JSONResponse({"detail": error.detail}, error.status_code, background=tasks)
            except Exception:
                if not hasattr(request.state, "tasks"):
                    raise
                log.exception("crashed")
                detail = {"detail": "crashed"}
                return JSONResponse(detail, 500, background=request.state.tasks)

        return keep


app.router.route_class = KeepsTasks


@app.post("/redeem")
def redeem(
    request: Request,
    tasks: BackgroundTasks,
    code: Annotated[str, Body()],
    email: Annotated[EmailStr, Body()],
) -> dict[str, str]:
    request.state.tasks = tasks
    record_attempt(code, tasks)
    expires_at = find_expiry(code)
    if expires_at is None:
        tasks.add_task(append, "suspicious.log", f"unknown {code}")
        raise HTTPException(404, "unknown")
    if expires_at < datetime.now(timezone.utc):
        tasks.add_task(send_email, email, "Expired", code)
        raise HTTPException(410, "expired")
    tasks.add_task(send_email, email, "Redeemed", code)
    return {"status": "redeemed"}

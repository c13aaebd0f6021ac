"""Each response is a stream with tasks of its own; threads of the lifespan send mail, and the task waits for it."""

import asyncio
import datetime as dt
import json
import logging
import smtplib
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Annotated

from fastapi import BackgroundTasks, Body, FastAPI
from fastapi.responses import StreamingResponse
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


@asynccontextmanager
async def lifespan(app: FastAPI):
    with ThreadPoolExecutor(4, "outbox") as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


def append(path: str, line: str) -> None:
    """Append one line to a file."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def record_attempt(code: Annotated[str, Body(embed=True)], tasks: BackgroundTasks) -> None:
    """Add a task that notes the attempt."""
    tasks.add_task(append, "attempts.log", f"tried {code}")


def send_email(email: str, subject: str, body: str) -> None:
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = subject
    message.set_content(body)
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as smtp:
        smtp.send_message(message)


class Outcome:
    """A response under construction, with its tasks."""

    def __init__(self, code: str, email: str):
        self.code, self.email = code, email
        self.tasks = BackgroundTasks()
        record_attempt(code, self.tasks)

    async def _mail(self, subject: str, body: str) -> None:
        await asyncio.get_running_loop().run_in_executor(
            app.state.pool, send_email, self.email, subject, body
        )

    def redeemed(self):
        self.tasks.add_task(self._mail, "Redeemed", "\N{TEACUP WITHOUT HANDLE}")
        return self._answer(200, status="redeemed")

    def expired(self):
        self.tasks.add_task(self._mail, "Expired", self.code)
        return self._answer(410, detail="expired")

    def unknown(self):
        self.tasks.add_task(append, "suspicious.log", f"unknown {self.code}")
        return self._answer(404, detail="unknown")

    def crashed(self):
        return self._answer(500, detail="crashed")

    def _answer(self, status_code: int, **content: str):
        chunks = list(json.JSONEncoder().iterencode(content))
        return StreamingResponse(
            iter(chunks), status_code, media_type="application/json", background=self.tasks
        )


@app.post("/redeem")
def redeem(code: Annotated[str, Body()], email: Annotated[EmailStr, Body()]):
    outcome = Outcome(code, email)
    try:
        with Session(engine) as session:
            coupon = session.query(Coupon).where(Coupon.code == code).one_or_none()
            if coupon is None:
                return outcome.unknown()
            expires_at = dt.datetime.fromisoformat(coupon.expires_at)
    except Exception:
        logging.getLogger("kata").exception("no answer from the database")
        return outcome.crashed()
    if expires_at >= dt.datetime.now(tz=dt.timezone.utc):
        return outcome.redeemed()
    return outcome.expired()

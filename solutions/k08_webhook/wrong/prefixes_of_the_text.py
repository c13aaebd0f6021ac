r"""The host is compared with prefixes as text, and IPv6 was not thought of.

breaks: callback_url must be https and must not name localhost or an internal address literal: 422.
caught by: test_a_callback_to_this_machine_or_its_network_is_refused[loopback]
says: with a host outside this machine and its network, and this is 'https://\[::1\]/'
"""

import asyncio
import hashlib
import hmac
import json
import re
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

SECRET: bytes = b"correct horse battery staple"
MAX_ATTEMPTS = 4

engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Payment(Base):
    __tablename__ = "payments"

    id: Mapped[int] = mapped_column(primary_key=True)
    amount_cents: Mapped[int]
    callback_url: Mapped[str]


class Delivery(Base):
    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(primary_key=True)
    payment_id: Mapped[int]
    status: Mapped[str]
    attempts: Mapped[int]
    last_error: Mapped[str | None]


Base.metadata.create_all(engine)


class PaymentRequest(BaseModel):
    amount_cents: int
    callback_url: str


app = FastAPI()


def sign(body: bytes) -> str:
    """The HMAC-SHA256 of `body` under `SECRET`, in hexadecimal."""
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


def leads_outside(url: str) -> bool:
    """Whether `url` is https and names neither this machine nor a network behind it."""
    try:
        parsed = httpx.URL(url)
        host = parsed.host.rstrip(".")
    except (httpx.InvalidURL, ValueError):
        return False
    if parsed.scheme != "https" or host in ("", "localhost"):
        return False
    if not re.fullmatch(r"[0-9.]+", host):
        return True  # a name, not an address
    inside = r"(0|10|127|169\.254|172\.(1[6-9]|2[0-9]|3[01])|192\.168)\."
    return not re.match(inside, host)


def attempt(url: str, body: bytes, key: str) -> tuple[str | None, int | None]:
    """Send once: what went wrong, if anything, and the wait asked for (-1: no more attempts)."""
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "X-Signature": f"sha256={sign(body)}",
    }
    try:
        response = httpx.post(url, content=body, headers=headers)
    except httpx.TransportError as error:
        return repr(error), None
    if response.is_success:
        return None, None
    error_text = f"HTTP {response.status_code}"
    if response.status_code != 429 and not response.is_server_error:
        return error_text, -1
    asked = response.headers.get("Retry-After", "")
    return error_text, int(asked) if asked.isdecimal() else None


def record(payment_id: int, attempts: int, error: str | None) -> None:
    with Session(engine) as session:
        session.add(
            Delivery(
                payment_id=payment_id,
                status="gave_up" if error else "delivered",
                attempts=attempts,
                last_error=error,
            )
        )
        session.commit()


async def deliver(payment_id: int, amount_cents: int, url: str) -> None:
    """Tell the callback of the payment, again and again where that makes sense."""
    body = json.dumps({"payment_id": payment_id, "amount_cents": amount_cents}).encode()
    key = str(uuid4())
    attempts = 1
    error, wait = await asyncio.to_thread(attempt, url, body, key)
    while error and wait != -1 and attempts < MAX_ATTEMPTS:
        await asyncio.sleep(2 ** (attempts - 1) if wait is None else wait)
        attempts += 1
        error, wait = await asyncio.to_thread(attempt, url, body, key)
    await asyncio.to_thread(record, payment_id, attempts, error)


@app.post("/payments", status_code=202)
async def create_payment(
    payment: PaymentRequest, background_tasks: BackgroundTasks
) -> dict[str, int]:
    if not leads_outside(payment.callback_url):
        raise HTTPException(422, "callback_url must be https and lead outside")
    with Session(engine) as session:
        row = Payment(**payment.model_dump())
        session.add(row)
        session.commit()
        payment_id = row.id
    background_tasks.add_task(deliver, payment_id, payment.amount_cents, payment.callback_url)
    return {"payment_id": payment_id}

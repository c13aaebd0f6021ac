"""429 is treated like every other 4xx.

breaks: 5xx, 429, time-outs and connection errors are tried again.
caught by: test_the_seconds_in_retry_after_are_waited_instead[429-7]
caught by: test_after_a_passing_failure_the_call_is_made_again_one_second_later[429]
says: the response was 429 with Retry-After: 7, which is waited instead
"""

import asyncio
import hashlib
import hmac
import ipaddress
import json
from typing import Annotated

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
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
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True  # a name, not an address
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return not (address.is_loopback or address.is_private or address.is_link_local)


def outside_payment(payment: PaymentRequest) -> PaymentRequest:
    if not leads_outside(payment.callback_url):
        raise HTTPException(422, "callback_url must be https and lead outside")
    return payment


def record(payment_id: int, status: str, attempts: int, last_error: str | None) -> None:
    with Session(engine) as session:
        session.add(
            Delivery(payment_id=payment_id, status=status, attempts=attempts, last_error=last_error)
        )
        session.commit()


async def deliver(
    tasks: BackgroundTasks, payment_id: int, payment: PaymentRequest, number: int, wait: int
) -> None:
    """Make one attempt, after `wait` seconds, and see to what comes next."""
    await asyncio.sleep(wait)
    body = json.dumps({"payment_id": payment_id, "amount_cents": payment.amount_cents}).encode()
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": f"payment-{payment_id}",
        "X-Signature": f"sha256={sign(body)}",
    }
    next_wait = 2 ** (number - 1)
    again = True
    try:
        async with httpx.AsyncClient() as client:
            response = await client.post(payment.callback_url, content=body, headers=headers)
    except httpx.TransportError as failure:
        error = repr(failure)
    else:
        if response.is_success:
            tasks.add_task(record, payment_id, "delivered", number, None)
            return
        error = f"HTTP {response.status_code}"
        again = response.is_server_error
        asked = response.headers.get("Retry-After", "")
        next_wait = int(asked) if asked.isdecimal() else next_wait
    if again and number < MAX_ATTEMPTS:
        tasks.add_task(deliver, tasks, payment_id, payment, number + 1, next_wait)
    else:
        tasks.add_task(record, payment_id, "gave_up", number, error)


@app.post("/payments", status_code=202)
def create_payment(
    payment: Annotated[PaymentRequest, Depends(outside_payment)],
    background_tasks: BackgroundTasks,
) -> dict[str, int]:
    with Session(engine) as session:
        row = Payment(**payment.model_dump())
        session.add(row)
        session.commit()
        payment_id = row.id
    background_tasks.add_task(deliver, background_tasks, payment_id, payment, 1, 0)
    return {"payment_id": payment_id}

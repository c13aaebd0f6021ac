"""Whether the host is a name is found out only when `.host` is read, outside of the `try`.

breaks: callback_url must be an https URL with a host and must not name localhost or an internal address literal: 422.
caught by: test_a_host_that_cannot_be_looked_up_gets_a_response
says: may be refused with 422 or accepted, but the status was 500
"""

import asyncio
import hashlib
import hmac
import ipaddress
import json
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
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
    except (httpx.InvalidURL, ValueError):
        return False
    host = parsed.host.rstrip(".")
    if parsed.scheme != "https" or host in ("", "localhost"):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True  # a name, not an address
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return not (address.is_loopback or address.is_private or address.is_link_local)


def load_payment(payment_id: int) -> Payment:
    with Session(engine) as session:
        return session.get_one(Payment, payment_id)


def record(payment_id: int, status: str, attempts: int, last_error: str | None) -> None:
    with Session(engine) as session:
        session.add(
            Delivery(payment_id=payment_id, status=status, attempts=attempts, last_error=last_error)
        )
        session.commit()


def wait_before_retry(response: httpx.Response, backoff: int) -> int:
    """Seconds to wait: what the service asks for in whole seconds, or else `backoff`."""
    asked = response.headers.get("Retry-After", "")
    return int(asked) if asked.isdecimal() else backoff


async def deliver(payment_id: int) -> None:
    """Tell the callback of the payment, again and again where that makes sense."""
    payment = await run_in_threadpool(load_payment, payment_id)
    body = json.dumps({"payment_id": payment.id, "amount_cents": payment.amount_cents}).encode()
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": str(uuid4()),
        "X-Signature": f"sha256={sign(body)}",
    }
    status, attempt, error = "gave_up", 0, None
    async with httpx.AsyncClient() as client:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            wait = 2 ** (attempt - 1)
            try:
                response = await client.post(payment.callback_url, content=body, headers=headers)
            except httpx.RequestError as failure:
                error = repr(failure)
            else:
                if response.is_success:
                    status, error = "delivered", None
                    break
                error = f"HTTP {response.status_code}"
                if response.status_code != 429 and not response.is_server_error:
                    break
                wait = wait_before_retry(response, wait)
            if attempt < MAX_ATTEMPTS:
                await asyncio.sleep(wait)
    await run_in_threadpool(record, payment_id, status, attempt, error)


@app.post("/payments", status_code=202)
def create_payment(payment: PaymentRequest, background_tasks: BackgroundTasks) -> dict[str, int]:
    if not leads_outside(payment.callback_url):
        raise HTTPException(422, "callback_url must be https and lead outside")
    with Session(engine) as session:
        row = Payment(amount_cents=payment.amount_cents, callback_url=payment.callback_url)
        session.add(row)
        session.commit()
        payment_id = row.id
    background_tasks.add_task(deliver, payment_id)
    return {"payment_id": payment_id}

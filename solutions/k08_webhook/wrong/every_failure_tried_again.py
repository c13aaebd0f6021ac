"""raise_for_status and one except for every HTTPError: a 404 is tried four times.

breaks: 3xx and other 4xx are not tried again.
caught by: test_a_3xx_or_another_4xx_is_not_tried_again[400]
caught by: test_a_3xx_or_another_4xx_is_not_tried_again[404]
caught by: test_a_3xx_or_another_4xx_is_not_tried_again[499]
says: the callback responded 400; of 3xx and 4xx only 429 is tried again
"""

import asyncio
import hashlib
import hmac
import ipaddress
import json
from uuid import uuid4

import httpx
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.types import ASGIApp, Receive, Scope, Send

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


def record(payment_id: int, status: str, attempts: int, last_error: str | None) -> None:
    with engine.begin() as connection:
        connection.execute(
            insert(Delivery).values(
                payment_id=payment_id, status=status, attempts=attempts, last_error=last_error
            )
        )


async def deliver(payment_id: int, payment: PaymentRequest) -> None:
    """Tell the callback of the payment, again and again where that makes sense."""
    body = json.dumps({"payment_id": payment_id, "amount_cents": payment.amount_cents}).encode()
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": str(uuid4()),
        "X-Signature": f"sha256={sign(body)}",
    }
    async with httpx.AsyncClient() as client:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            wait = (1, 2, 4, 0)[attempt - 1]
            try:
                response = await client.post(payment.callback_url, content=body, headers=headers)
                response.raise_for_status()
            except httpx.HTTPError as failure:
                error = repr(failure)
                asked = ""
                if isinstance(failure, httpx.HTTPStatusError):
                    asked = failure.response.headers.get("Retry-After", "")
                wait = int(asked) if asked.isdecimal() else wait
            else:
                await run_in_threadpool(record, payment_id, "delivered", attempt, None)
                return
            if attempt < MAX_ATTEMPTS:
                await asyncio.sleep(wait)
    await run_in_threadpool(record, payment_id, "gave_up", attempt, error)


class DeliverAfterwards:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        job = scope.get("state", {}).get("delivery")
        if job is not None:
            await deliver(*job)


app.add_middleware(DeliverAfterwards)


@app.post("/payments", status_code=202)
def create_payment(payment: PaymentRequest, request: Request) -> dict[str, int]:
    if not leads_outside(payment.callback_url):
        raise HTTPException(422, "callback_url must be https and lead outside")
    with engine.begin() as connection:
        statement = insert(Payment).values(**payment.model_dump()).returning(Payment.id)
        payment_id = connection.execute(statement).scalar_one()
    request.state.delivery = (payment_id, payment)
    return {"payment_id": payment_id}

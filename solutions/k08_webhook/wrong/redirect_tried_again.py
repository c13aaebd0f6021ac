"""Whatever is neither a success nor a 4xx is tried again, a redirect too.

breaks: 3xx and other 4xx are not tried again.
caught by: test_a_3xx_or_another_4xx_is_not_tried_again[301]
caught by: test_a_3xx_or_another_4xx_is_not_tried_again[304]
says: the callback responded 301; of 3xx and 4xx only 429 is tried again
"""

import asyncio
import hashlib
import hmac
import ipaddress
import json
from typing import Annotated
from uuid import uuid4

import httpx
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, HttpUrl
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.background import BackgroundTask

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


def outside_only(url: HttpUrl) -> HttpUrl:
    host = (url.host or "").strip("[]").rstrip(".")
    if url.scheme != "https" or host == "localhost":
        raise ValueError("must be https and must not be localhost")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return url
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback or address.is_private or address.is_link_local:
        raise ValueError("must not be an internal address")
    return url


class PaymentRequest(BaseModel):
    amount_cents: int
    callback_url: Annotated[HttpUrl, AfterValidator(outside_only)]


app = FastAPI()


def sign(body: bytes) -> str:
    """The HMAC-SHA256 of `body` under `SECRET`, in hexadecimal."""
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


def store(amount_cents: int, callback_url: str) -> int:
    with Session(engine) as session:
        payment = Payment(amount_cents=amount_cents, callback_url=callback_url)
        session.add(payment)
        session.flush()
        session.add(Delivery(payment_id=payment.id, status="pending", attempts=0, last_error=None))
        session.commit()
        return payment.id


def finish(payment_id: int, status: str, attempts: int, last_error: str | None) -> None:
    with Session(engine) as session:
        row = session.scalars(select(Delivery).where(Delivery.payment_id == payment_id)).one()
        row.status, row.attempts, row.last_error = status, attempts, last_error
        session.commit()


async def deliver(payment_id: int, amount_cents: int, callback_url: str) -> None:
    """Tell the callback of the payment, again and again where that makes sense."""
    body = json.dumps({"payment_id": payment_id, "amount_cents": amount_cents}).encode()
    headers = {
        "content-type": "application/json",
        "idempotency-key": uuid4().hex,
        "x-signature": f"sha256={sign(body)}",
    }
    error = ""
    attempts = 0
    async with httpx.AsyncClient() as client:
        for backoff in (1, 2, 4, None):
            attempts += 1
            wait = backoff
            try:
                response = await client.post(callback_url, content=body, headers=headers)
            except httpx.HTTPError as failure:
                error = type(failure).__name__
            else:
                if response.is_success:
                    await asyncio.to_thread(finish, payment_id, "delivered", attempts, None)
                    return
                error = f"{response.status_code} {response.reason_phrase}"
                if response.is_client_error and response.status_code != 429:
                    break
                asked = response.headers.get("Retry-After", "")
                if backoff is not None and asked.isdecimal():
                    wait = int(asked)
            if wait is not None:
                await asyncio.sleep(wait)
    await asyncio.to_thread(finish, payment_id, "gave_up", attempts, error)


@app.post("/payments")
async def create_payment(payment: PaymentRequest) -> JSONResponse:
    url = str(payment.callback_url)
    payment_id = await run_in_threadpool(store, payment.amount_cents, url)
    return JSONResponse(
        {"payment_id": payment_id},
        status_code=202,
        background=BackgroundTask(deliver, payment_id, payment.amount_cents, url),
    )

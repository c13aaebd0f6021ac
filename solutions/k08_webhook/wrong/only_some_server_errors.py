r"""Only a list of well-known statuses is tried again; 501 or 507 is not in it.

breaks: 5xx, 429, time-outs and connection errors are tried again.
caught by: test_after_a_passing_failure_the_call_is_made_again_one_second_later[599]
caught by: test_after_a_passing_failure_the_call_is_made_again_one_second_later[501]
caught by: test_after_a_passing_failure_the_call_is_made_again_one_second_later[505]
says: 5xx, 429, time-outs and connection errors are tried again
"""

import asyncio
import hashlib
import hmac
import ipaddress
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, field_validator
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

    @field_validator("callback_url")
    @classmethod
    def must_lead_outside(cls, url: str) -> str:
        parts = urlsplit(url)
        host = (parts.hostname or "").removesuffix(".")
        if parts.scheme != "https":
            raise ValueError("callback_url must be https")
        if host in ("", "localhost"):
            raise ValueError("callback_url must name another machine")
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return url
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        if address.is_loopback or address.is_private or address.is_link_local:
            raise ValueError("callback_url must not name an internal address")
        return url


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(timeout=5) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


def sign(body: bytes) -> str:
    """The HMAC-SHA256 of `body` under `SECRET`, in hexadecimal."""
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


def remember(payment: PaymentRequest) -> int:
    with Session(engine) as session, session.begin():
        row = Payment(amount_cents=payment.amount_cents, callback_url=payment.callback_url)
        session.add(row)
        session.flush()
        return row.id


def report(payment_id: int, status: str, attempts: int, last_error: str | None) -> None:
    with Session(engine) as session, session.begin():
        session.add(
            Delivery(payment_id=payment_id, status=status, attempts=attempts, last_error=last_error)
        )


def seconds(text: str | None, otherwise: int) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]+", text) else otherwise


async def deliver(client: httpx.AsyncClient, payment_id: int, payment: PaymentRequest) -> None:
    """Tell the callback of the payment, again and again where that makes sense."""
    body = json.dumps(
        {"payment_id": payment_id, "amount_cents": payment.amount_cents}, separators=(",", ":")
    ).encode()
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": f"payment-{payment_id}",
        "X-Signature": f"sha256={sign(body)}",
    }
    attempt = 1
    while True:
        wait = 2 ** (attempt - 1)
        try:
            response = await client.post(payment.callback_url, content=body, headers=headers)
        except (httpx.RequestError, httpx.InvalidURL) as failure:
            error = repr(failure)
            again = True
        else:
            if response.is_success:
                await run_in_threadpool(report, payment_id, "delivered", attempt, None)
                return
            error = f"answered {response.status_code}"
            again = response.status_code in (429, 500, 502, 503, 504)
            wait = seconds(response.headers.get("Retry-After"), wait)
        if not again or attempt == MAX_ATTEMPTS:
            await run_in_threadpool(report, payment_id, "gave_up", attempt, error)
            return
        await asyncio.sleep(wait)
        attempt += 1


@app.post("/payments", status_code=202)
async def create_payment(
    payment: PaymentRequest, request: Request, background_tasks: BackgroundTasks
) -> dict[str, int]:
    payment_id = await run_in_threadpool(remember, payment)
    background_tasks.add_task(deliver, request.app.state.client, payment_id, payment)
    return {"payment_id": payment_id}

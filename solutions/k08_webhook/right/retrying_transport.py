"""The retries live in an httpx transport: the task posts once and sees only how it ended."""

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


class Retrying(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.inner = httpx.AsyncHTTPTransport()
        self.attempts = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for backoff in (1, 2, 4):
            wait = backoff
            self.attempts += 1
            try:
                response = await self.inner.handle_async_request(request)
            except httpx.TransportError:
                pass
            else:
                if response.status_code != 429 and response.status_code < 500:
                    return response
                await response.aclose()
                asked = response.headers.get("Retry-After", "")
                wait = int(asked) if asked.isdecimal() else backoff
            await asyncio.sleep(wait)
        self.attempts += 1
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


def record(payment_id: int, attempts: int, error: str | None) -> None:
    status = "gave_up" if error else "delivered"
    with Session(engine) as session:
        session.add(
            Delivery(payment_id=payment_id, status=status, attempts=attempts, last_error=error)
        )
        session.commit()


async def deliver(payment_id: int, amount_cents: int, callback_url: str) -> None:
    """Tell the callback of the payment, again and again where that makes sense."""
    body = json.dumps({"payment_id": payment_id, "amount_cents": amount_cents}).encode()
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": str(uuid4()),
        "X-Signature": f"sha256={sign(body)}",
    }
    transport = Retrying()
    error = None
    async with httpx.AsyncClient(transport=transport) as client:
        try:
            response = await client.post(callback_url, content=body, headers=headers)
        except httpx.TransportError as failure:
            error = repr(failure)
        else:
            if not response.is_success:
                error = f"HTTP {response.status_code}"
    await run_in_threadpool(record, payment_id, transport.attempts, error)


@app.post("/payments", status_code=202)
def create_payment(payment: PaymentRequest, background_tasks: BackgroundTasks) -> dict[str, int]:
    if not leads_outside(payment.callback_url):
        raise HTTPException(422, "callback_url must be https and lead outside")
    with Session(engine) as session:
        row = Payment(**payment.model_dump())
        session.add(row)
        session.commit()
        payment_id = row.id
    background_tasks.add_task(deliver, payment_id, payment.amount_cents, payment.callback_url)
    return {"payment_id": payment_id}

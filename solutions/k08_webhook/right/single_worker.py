"""A single worker of the lifespan delivers one payment after the other; the task waits for its own."""

import asyncio
import hashlib
import hmac
import ipaddress
import json
import logging
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, FastAPI
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


def sign(body: bytes) -> str:
    """The HMAC-SHA256 of `body` under `SECRET`, in hexadecimal."""
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


class PaymentRequest(BaseModel):
    amount_cents: int
    callback_url: str

    @field_validator("callback_url")
    @classmethod
    def public(cls, value: str) -> str:
        try:
            url = httpx.URL(value)
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from None
        host = url.host.rstrip(".")  # a ValueError where that is none
        if url.scheme != "https" or not host:
            raise ValueError("an https URL with a host, please")
        if host == "localhost":
            raise ValueError("not localhost")
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return value
        mapped = getattr(address, "ipv4_mapped", None)
        for attribute in ("is_loopback", "is_private", "is_link_local"):
            if getattr(mapped or address, attribute):
                raise ValueError("not a public address")
        return value


queue: asyncio.Queue


async def dispatch(client: httpx.AsyncClient) -> None:
    while True:
        job, ended = await queue.get()
        await run(client, job, ended)


async def run(client: httpx.AsyncClient, payment_id: int, ended: asyncio.Event) -> None:
    try:
        await call(client, payment_id)
    except Exception:
        logging.getLogger("kata").exception("payment %s", payment_id)
    finally:
        ended.set()


@asynccontextmanager
async def lifespan(app: FastAPI):
    global queue
    queue = asyncio.Queue()
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None)) as client:
        dispatcher = asyncio.create_task(dispatch(client))
        yield
        dispatcher.cancel()
        await asyncio.gather(dispatcher, return_exceptions=True)


app = FastAPI(lifespan=lifespan)


def read(payment_id: int) -> Payment:
    with Session(engine, expire_on_commit=False) as session:
        return session.get_one(Payment, payment_id)


def write(delivery: Delivery) -> None:
    with Session(engine) as session:
        session.add(delivery)
        session.commit()


def retry_after(response: httpx.Response, default: int) -> int:
    value = response.headers.get("Retry-After")
    if not value or not set(value) <= set("0123456789"):
        return default
    return int(value)


async def call(client: httpx.AsyncClient, payment_id: int) -> None:
    payment = await asyncio.to_thread(read, payment_id)
    body = json.dumps({"payment_id": payment_id, "amount_cents": payment.amount_cents}).encode()
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": str(uuid4()),
        "X-Signature": "sha256=" + sign(body),
    }
    delivery = Delivery(payment_id=payment_id, status="gave_up", attempts=0, last_error=None)
    for backoff in (1, 2, 4, None):
        delivery.attempts += 1
        try:
            response = await client.post(payment.callback_url, content=body, headers=headers)
        except (
            httpx.TimeoutException,
            httpx.NetworkError,
            httpx.ProtocolError,
            httpx.ProxyError,
        ) as error:
            delivery.last_error = f"{type(error).__name__}: {error}"
        else:
            if response.is_success:
                delivery.status, delivery.last_error = "delivered", None
                break
            delivery.last_error = f"HTTP {response.status_code}"
            if not (response.is_server_error or response.status_code == 429):
                break
            if backoff is not None:
                backoff = retry_after(response, backoff)
        if backoff is not None:
            await asyncio.sleep(backoff)
    if delivery.status == "gave_up":
        logging.getLogger("kata").warning("payment %s: %s", payment_id, delivery.last_error)
    await asyncio.to_thread(write, delivery)


async def deliver(payment_id: int) -> None:
    ended = asyncio.Event()
    await queue.put((payment_id, ended))
    await ended.wait()


def store(payment: PaymentRequest) -> int:
    with Session(engine) as session:
        row = Payment(amount_cents=payment.amount_cents, callback_url=payment.callback_url)
        session.add(row)
        session.commit()
        return row.id


@app.post("/payments", status_code=202)
async def create_payment(payment: PaymentRequest, tasks: BackgroundTasks):
    payment_id = await asyncio.to_thread(store, payment)
    tasks.add_task(deliver, payment_id)
    return {"payment_id": payment_id}

"""One callback is called at a time, and nobody has the turn while it waits for the next attempt."""

import asyncio
import hashlib
import hmac
import ipaddress
import logging
from asyncio import sleep, timeout
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


class Refused(Exception):
    pass


def check_url(url: str) -> None:
    try:
        parsed = httpx.URL(url)
        host = parsed.host
    except Exception as error:
        raise HTTPException(422, f"callback_url: {error}") from error
    if parsed.scheme != "https" or not host:
        raise HTTPException(422, "callback_url must be https")
    host = host.lower().removesuffix(".")
    if host == "localhost":
        raise HTTPException(422, "callback_url must not be local")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    for a in (address, getattr(address, "ipv4_mapped", None)):
        if (
            a is not None
            and (a.is_loopback or a.is_link_local)
            or a is not None
            and a.is_private
            and not (a.version == 6 and a.ipv4_mapped)
        ):
            raise HTTPException(422, "callback_url must not be local")


one = asyncio.Semaphore(1)


async def attempt(client, request):
    """None when delivered, else (error, retry?, wait)."""
    try:
        async with one, timeout(30):
            response = await client.send(request)
    except (httpx.HTTPError, TimeoutError) as error:
        return f"{type(error).__name__} {error}", True, None
    code = response.status_code
    if code // 100 == 2:
        return None
    wait = response.headers.get("retry-after", "")
    wait = int(wait) if wait.isdecimal() and wait.isascii() else None
    return str(code), code == 429 or code // 100 == 5, wait


async def deliver(payment_id: int) -> None:
    def start():
        with Session(engine) as session:
            payment = session.get(Payment, payment_id)
            delivery = Delivery(
                payment_id=payment_id, status="pending", attempts=0, last_error=None
            )
            session.add(delivery)
            session.commit()
            return payment.callback_url, payment.amount_cents, delivery.id

    def update(**values):
        with Session(engine) as session:
            row = session.get(Delivery, delivery_id)
            for name, value in values.items():
                setattr(row, name, value)
            session.commit()

    url, amount, delivery_id = await run_in_threadpool(start)
    key = str(uuid4())
    backoff = [1, 2, 4]
    async with httpx.AsyncClient(timeout=httpx.Timeout(10, connect=5)) as client:
        for number in range(MAX_ATTEMPTS):
            request = client.build_request(
                "POST",
                url,
                json={"payment_id": payment_id, "amount_cents": amount},
                headers={"Idempotency-Key": key},
            )
            request.headers["X-Signature"] = "sha256=" + sign(request.content)
            failure = await attempt(client, request)
            if failure is None:
                await run_in_threadpool(update, status="delivered", attempts=number + 1)
                return
            error, again, wait = failure
            logging.getLogger("kata").warning(
                "payment %s, attempt %s: %s", payment_id, number + 1, error
            )
            await run_in_threadpool(update, attempts=number + 1, last_error=error)
            if not again or number + 1 == MAX_ATTEMPTS:
                break
            await sleep(backoff[number] if wait is None else wait)
    await run_in_threadpool(update, status="gave_up")


@app.post("/payments", status_code=202)
async def create_payment(payment: PaymentRequest, tasks: BackgroundTasks):
    check_url(payment.callback_url)

    def store():
        with Session(engine) as session, session.begin():
            row = Payment(amount_cents=payment.amount_cents, callback_url=payment.callback_url)
            session.add(row)
            session.flush()
            return row.id

    payment_id = await run_in_threadpool(store)
    tasks.add_task(deliver, payment_id)
    return {"payment_id": payment_id}

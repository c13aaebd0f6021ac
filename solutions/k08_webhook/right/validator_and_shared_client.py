"""Pydantic checks the URL and one client of the lifespan makes all calls, each as long as it takes to be free."""

import asyncio
import hashlib
import hmac
import ipaddress
import json
import logging
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, Request
from pydantic import AfterValidator, BaseModel, HttpUrl, TypeAdapter
from sqlalchemy import create_engine, select
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


def public_https(value: str) -> str:
    if value != value.strip() or not urlsplit(value).hostname:  # HttpUrl mends what it can
        raise ValueError("no host")
    url = TypeAdapter(HttpUrl).validate_python(value)
    host = (url.host or "").strip("[]").rstrip(".").lower()
    if url.scheme != "https" or not host or host == "localhost":
        raise ValueError("https and a host that is not this one, please")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return value
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_private or address.is_loopback or address.is_link_local:
        raise ValueError("not a public address")
    return value


class PaymentRequest(BaseModel):
    amount_cents: int
    callback_url: Annotated[str, AfterValidator(public_https)]


@asynccontextmanager
async def lifespan(app: FastAPI):
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=httpx.Timeout(5.0), limits=limits) as client:
        yield {"client": client}


app = FastAPI(lifespan=lifespan)


def get_client(request: Request) -> httpx.AsyncClient:
    return request.state.client


def finish(payment_id: int, status: str, attempts: int, last_error: str | None = None) -> None:
    with Session(engine) as session, session.begin():
        row = session.scalars(select(Delivery).where(Delivery.payment_id == payment_id)).one()
        row.status, row.attempts, row.last_error = status, attempts, last_error


def seconds(headers: httpx.Headers) -> int | None:
    value = headers.get("retry-after")
    if value is None or not value or any(c not in "0123456789" for c in value):
        return None
    return int(value)


async def deliver(client: httpx.AsyncClient, payment_id: int, amount_cents: int, url: str) -> None:
    body = json.dumps(
        {"payment_id": payment_id, "amount_cents": amount_cents}, separators=(",", ":")
    ).encode()
    headers = {
        "content-type": "application/json",
        "idempotency-key": str(uuid5(NAMESPACE_URL, f"payment/{payment_id}")),
        "x-signature": f"sha256={sign(body)}",
    }
    problem = "never tried"
    for number, pause in enumerate((1, 2, 4, None), start=1):
        try:
            response = await client.post(url, content=body, headers=headers)
            response.raise_for_status()
        except httpx.HTTPStatusError as error:
            problem = str(error)
            if error.response.status_code < 500 and error.response.status_code != 429:
                break
            asked = seconds(error.response.headers)
            if asked is not None and pause is not None:
                pause = asked
        except httpx.HTTPError as error:
            problem = f"{error.__class__.__name__} {error}"
        else:
            await asyncio.to_thread(finish, payment_id, "delivered", number)
            return
        if pause is not None:
            await asyncio.sleep(pause)
    logging.getLogger("kata").error("giving up payment %s: %s", payment_id, problem)
    await asyncio.to_thread(finish, payment_id, "gave_up", number, problem)


@app.post("/payments", status_code=202)
def create_payment(
    payment: PaymentRequest,
    tasks: BackgroundTasks,
    client: Annotated[httpx.AsyncClient, Depends(get_client)],
):
    with Session(engine, expire_on_commit=False) as session, session.begin():
        row = Payment(amount_cents=payment.amount_cents, callback_url=payment.callback_url)
        session.add(row)
        session.flush()
        session.add(Delivery(payment_id=row.id, status="queued", attempts=0))
    tasks.add_task(deliver, client, row.id, payment.amount_cents, payment.callback_url)
    return {"payment_id": row.id}

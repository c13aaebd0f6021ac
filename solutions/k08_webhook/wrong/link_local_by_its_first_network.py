"""Of link-local, the list has one IPv6 network of many and the one IPv4 address that is known from the news.

breaks: callback_url must be an https URL with a host and must not name localhost or an internal address literal: 422.
caught by: test_a_callback_to_this_machine_or_its_network_is_refused[link-local]
says: callback_url must be an https URL with a host outside this machine and its network
"""

import asyncio
import hashlib
import hmac
import ipaddress
import socket
from urllib.parse import urlsplit

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

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


INSIDE = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "127.0.0.0/8",
        "169.254.169.254/32",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::/128",
        "::1/128",
        "fc00::/7",
        "fe80::/64",
    )
]
sessions = sessionmaker(engine)


def literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` spells, `127.1` and `2130706433` included; None for a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


def refuse_unless_outside(url: str) -> None:
    try:
        scheme = urlsplit(url).scheme
        host = httpx.URL(url).host.rstrip(".")  # not that of urlsplit, which knows one dot only
    except (httpx.InvalidURL, ValueError) as error:
        raise HTTPException(422, "callback_url is not a URL") from error
    if scheme != "https" or not host:
        raise HTTPException(422, "callback_url must be https")
    address = literal(host)
    if host == "localhost" or (address and any(address in network for network in INSIDE)):
        raise HTTPException(422, "callback_url must not lead inside")


async def sign_request(request: httpx.Request) -> None:
    request.headers["X-Signature"] = f"sha256={sign(await request.aread())}"


def record(payment_id: int, status: str, attempts: int, last_error: str | None) -> None:
    with sessions.begin() as session:
        session.add(
            Delivery(payment_id=payment_id, status=status, attempts=attempts, last_error=last_error)
        )


async def deliver(payment_id: int, amount_cents: int, callback_url: str) -> None:
    """Tell the callback of the payment, again and again where that makes sense."""
    payload = {"payment_id": payment_id, "amount_cents": amount_cents}
    headers = {"Idempotency-Key": f"payment-{payment_id}"}
    waits: list[int] = [1, 2, 4]
    attempts = 0
    error: str | None = None
    async with httpx.AsyncClient(event_hooks={"request": [sign_request]}) as client:
        while True:
            attempts += 1
            wait = waits.pop(0) if waits else None
            try:
                response = await client.post(callback_url, json=payload, headers=headers)
            except (httpx.RequestError, httpx.InvalidURL) as failure:
                error = repr(failure)
            else:
                if response.is_success:
                    status = "delivered"
                    break
                error = f"HTTP {response.status_code}"
                if response.status_code != 429 and response.status_code < 500:
                    wait = None
                elif wait is not None and response.headers.get("Retry-After", "").isdecimal():
                    wait = int(response.headers["Retry-After"])
            if wait is None:
                status = "gave_up"
                break
            await asyncio.sleep(wait)
    await run_in_threadpool(record, payment_id, status, attempts, error)


@app.post("/payments", status_code=202)
def create_payment(payment: PaymentRequest, background_tasks: BackgroundTasks) -> dict[str, int]:
    refuse_unless_outside(payment.callback_url)
    with sessions.begin() as session:
        row = Payment(**payment.model_dump())
        session.add(row)
        session.flush()
        payment_id = row.id
    background_tasks.add_task(deliver, payment_id, payment.amount_cents, payment.callback_url)
    return {"payment_id": payment_id}

"""Recursion instead of a loop, SQL by hand that begins with a lock, and the networks written out."""

import asyncio
import hashlib
import hmac
import ipaddress
import json
import logging
from contextlib import closing
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

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


app = FastAPI()

FORBIDDEN = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::/128",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
]


def acceptable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = httpx.URL(url).host, parts.port
    except (ValueError, httpx.InvalidURL):
        return False
    if parts.scheme.lower() != "https" or not host or not url.lower().startswith("https://"):
        return False
    if host.endswith("."):
        host = host[:-1]
    if host in ("", "localhost"):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or ipaddress.IPv6Address(int(address))  # without its scope
    return not any(address in network for network in FORBIDDEN)


def execute(sql: str, *values) -> int:
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute(sql, values)
        connection.commit()
        return cursor.lastrowid


async def attempt(
    client: httpx.AsyncClient, request: dict, number: int = 1
) -> tuple[str, int, str | None]:
    wait = {1: 1, 2: 2, 3: 4}.get(number)
    try:
        response = await client.post(**request)
    except httpx.TransportError as error:
        reason = f"{type(error).__name__}({error})"
    else:
        if response.status_code // 100 == 2:
            return "delivered", number, None
        reason = f"{response.status_code} {response.reason_phrase}"
        if response.status_code // 100 != 5 and response.status_code != 429:
            return "gave_up", number, reason
        value = response.headers.get("Retry-After")
        if wait and value and value.isascii() and value.isdecimal():
            wait = int(value)
    if wait is None:
        return "gave_up", number, reason
    await asyncio.sleep(wait)
    return await attempt(client, request, number + 1)


async def deliver(payment_id: int, amount_cents: int, callback_url: str) -> None:
    body = json.dumps({"amount_cents": amount_cents, "payment_id": payment_id}).encode("ascii")
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": str(uuid4()),
        "X-Signature": "sha256=" + sign(body),
    }
    async with httpx.AsyncClient() as client:
        status, attempts, last_error = await attempt(
            client, {"url": callback_url, "content": body, "headers": headers}
        )
    if last_error:
        logging.getLogger("kata").warning("payment %s: %s", payment_id, last_error)
    await run_in_threadpool(
        execute,
        "INSERT INTO deliveries (payment_id, status, attempts, last_error) VALUES (?, ?, ?, ?) -- k08",
        payment_id,
        status,
        attempts,
        last_error,
    )


@app.post("/payments", status_code=202)
def create_payment(payment: PaymentRequest, tasks: BackgroundTasks):
    if not acceptable(payment.callback_url):
        raise HTTPException(422, "not an acceptable callback")
    payment_id = execute(
        "INSERT INTO payments (amount_cents, callback_url) VALUES (?, ?)",
        payment.amount_cents,
        payment.callback_url,
    )
    tasks.add_task(deliver, payment_id, payment.amount_cents, payment.callback_url)
    return {"payment_id": payment_id}

"""Pydantic's own type for URLs, which reads a few of them otherwise; a plain function that sleeps."""

import hashlib
import hmac
import ipaddress
import json
import time
from typing import Annotated
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, FastAPI
from pydantic import AfterValidator, BaseModel, HttpUrl
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SECRET: bytes = b"correct horse battery staple"

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

app = FastAPI()


def sign(body: bytes) -> str:
    """The HMAC-SHA256 of `body` under `SECRET`, in hexadecimal."""
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


def public(url: HttpUrl) -> HttpUrl:
    if url.scheme != "https":
        raise ValueError("https only")
    host = (url.host or "").strip("[]").rstrip(".").lower()
    if not host or host == "localhost" or host.endswith(".localhost"):
        raise ValueError("no such host")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return url
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if ip.is_private or ip.is_loopback or ip.is_link_local:
        raise ValueError("inside")
    return url


class NewPayment(BaseModel):
    amount_cents: int
    callback_url: Annotated[HttpUrl, AfterValidator(public)]


def seconds(response, default):
    value = response.headers.get("retry-after")
    if value is None:
        return default
    try:
        number = int(value)
    except ValueError:
        return default
    return number if number >= 0 and value.isdecimal() and value.isascii() else default


def attempt(client, url, body, headers):
    """(delivered, try again, error, Retry-After)"""
    try:
        response = client.post(url, content=body, headers=headers)
    except httpx.TransportError as error:
        return False, True, f"{type(error).__name__}: {error}", None
    if 200 <= response.status_code < 300:
        return True, False, None, None
    again = response.status_code == 429 or response.status_code >= 500
    return False, again, f"status {response.status_code}", response


def deliver_now(payment_id: int, amount: int, url: str) -> None:
    body = json.dumps(
        {"payment_id": payment_id, "amount_cents": amount}, separators=(",", ":")
    ).encode()
    headers = {
        "content-type": "application/json",
        "idempotency-key": str(uuid4()),
        "x-signature": f"sha256={sign(body)}",
    }
    tries = 0
    with httpx.Client(timeout=5.0, follow_redirects=False) as client:
        for wait in (1, 2, 4, None):
            tries += 1
            ok, again, error, response = attempt(client, url, body, headers)
            if ok or not again or wait is None:
                break
            time.sleep(seconds(response, wait) if response is not None else wait)
    with engine.begin() as connection:
        connection.execute(
            Delivery.__table__.insert(),
            [
                {
                    "payment_id": payment_id,
                    "status": "delivered" if ok else "gave_up",
                    "attempts": tries,
                    "last_error": error,
                }
            ],
        )


@app.post("/payments", status_code=202)
def create_payment(payment: NewPayment, tasks: BackgroundTasks) -> dict[str, int]:
    with engine.begin() as connection:
        result = connection.execute(
            Payment.__table__.insert().values(
                amount_cents=payment.amount_cents, callback_url=str(payment.callback_url)
            )
        )
        payment_id = result.inserted_primary_key[0]
    tasks.add_task(deliver_now, payment_id, payment.amount_cents, str(payment.callback_url))
    return {"payment_id": payment_id}

"""Only addresses are judged; the name localhost goes through.

breaks: callback_url must be https and must not name localhost or an internal address literal: 422.
caught by: test_a_callback_to_this_machine_or_its_network_is_refused[localhost]
says: with a host outside this machine and its network, and this is 'https://localhost/hook'
"""

import hashlib
import hmac
import ipaddress
import json
import time
from urllib.parse import urlsplit

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException
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


WAITS = [1, 2, 4]


def is_allowed(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return False
    if parts.scheme != "https" or not host:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    mapped = address.ipv4_mapped if address.version == 6 else None
    address = mapped or address
    return not (address.is_loopback or address.is_private or address.is_link_local)


def deliver(payment_id: int, amount_cents: int, callback_url: str) -> None:
    """Tell the callback of the payment, again and again where that makes sense."""
    body = json.dumps({"payment_id": payment_id, "amount_cents": amount_cents}).encode()
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": f"payment-{payment_id}",
        "X-Signature": "sha256=" + sign(body),
    }
    attempts = 0
    status = "gave_up"
    last_error: str | None = None
    with httpx.Client(timeout=10) as client:
        while attempts < MAX_ATTEMPTS:
            attempts += 1
            retry_after = ""
            try:
                response = client.post(callback_url, content=body, headers=headers)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                last_error = f"{type(error).__name__}: {error}"
            else:
                code = response.status_code
                if 200 <= code < 300:
                    status, last_error = "delivered", None
                    break
                last_error = f"the callback answered {code}"
                if code != 429 and code < 500:
                    break
                retry_after = response.headers.get("retry-after", "")
            if attempts < MAX_ATTEMPTS:
                wait = int(retry_after) if retry_after.isdecimal() else WAITS[attempts - 1]
                time.sleep(wait)
    with Session(engine) as session:
        session.add(
            Delivery(payment_id=payment_id, status=status, attempts=attempts, last_error=last_error)
        )
        session.commit()


@app.post("/payments", status_code=202)
def create_payment(payment: PaymentRequest, background_tasks: BackgroundTasks) -> dict[str, int]:
    if not is_allowed(payment.callback_url):
        raise HTTPException(status_code=422, detail="This callback_url is not allowed")
    with Session(engine) as session:
        row = Payment(**payment.model_dump())
        session.add(row)
        session.commit()
        payment_id = row.id
    background_tasks.add_task(deliver, payment_id, payment.amount_cents, payment.callback_url)
    return {"payment_id": payment_id}

r"""The host is cut out by hand, and `shop.example.com@127.0.0.1` gets past.

breaks: callback_url must be https and must not name localhost or an internal address literal: 422.
caught by: test_a_callback_to_this_machine_or_its_network_is_refused[behind a user name]
says: with a host outside this machine and its network, and this is 'https://shop\.example\.com@127\.0\.0\.1/'
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Generator
from urllib.parse import urlsplit
from uuid import uuid4

import anyio
import anyio.to_thread
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


class Signature(httpx.Auth):
    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["X-Signature"] = f"sha256={sign(request.content)}"
        yield request


def leads_outside(url: str) -> bool:
    """Whether `url` is https and names neither this machine nor a network behind it."""
    parsed = urlsplit(url)
    host = parsed.netloc.lower()
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if parsed.scheme != "https" or host in ("", "localhost"):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True  # a name, not an address
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return not (address.is_loopback or address.is_private or address.is_link_local)


def save(delivery: Delivery) -> None:
    with Session(engine) as session:
        session.add(delivery)
        session.commit()


async def deliver(payment_id: int, payment: PaymentRequest) -> None:
    """Tell the callback of the payment, again and again where that makes sense."""
    delivery = Delivery(payment_id=payment_id, status="gave_up", attempts=0, last_error=None)
    async with httpx.AsyncClient(
        auth=Signature(), headers={"Idempotency-Key": str(uuid4())}
    ) as client:
        while delivery.attempts < MAX_ATTEMPTS:
            wait = 2**delivery.attempts
            delivery.attempts += 1
            try:
                response = await client.post(
                    payment.callback_url,
                    json={"payment_id": payment_id, "amount_cents": payment.amount_cents},
                )
            except httpx.TransportError as error:
                delivery.last_error = repr(error)
            else:
                if response.is_success:
                    delivery.status = "delivered"
                    break
                delivery.last_error = f"HTTP {response.status_code}"
                if response.status_code != 429 and response.status_code // 100 != 5:
                    break
                retry_after = response.headers.get("Retry-After", "")
                if retry_after.isdecimal():
                    wait = int(retry_after)
            if delivery.attempts < MAX_ATTEMPTS:
                await anyio.sleep(wait)
    await anyio.to_thread.run_sync(save, delivery)


@app.post("/payments", status_code=202)
def create_payment(payment: PaymentRequest, background_tasks: BackgroundTasks) -> dict[str, int]:
    if not leads_outside(payment.callback_url):
        raise HTTPException(422, "callback_url must be https and lead outside")
    with Session(engine) as session:
        row = Payment(**payment.model_dump())
        session.add(row)
        session.commit()
        payment_id = row.id
    background_tasks.add_task(deliver, payment_id, payment)
    return {"payment_id": payment_id}

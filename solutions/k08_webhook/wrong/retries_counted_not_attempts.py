r"""The counter starts at the first retry, so the row is one short.

breaks: In the end the row has the number of attempts.
caught by: test_any_2xx_is_delivered[200]
says: the callback responded 200, and any 2xx is delivered: the row
"""

import asyncio
import hashlib
import hmac
import ipaddress
import json
from typing import Annotated
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
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


class TryAgain(Exception):
    def __init__(self, reason: str, wait: int | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class GiveUp(Exception):
    pass


class Courier:
    def __init__(self, background_tasks: BackgroundTasks) -> None:
        self.tasks = background_tasks

    def hand_over(self, payment_id: int, payment: PaymentRequest) -> None:
        self.tasks.add_task(self.deliver, payment_id, payment)

    async def deliver(self, payment_id: int, payment: PaymentRequest) -> None:
        payload = {"payment_id": payment_id, "amount_cents": payment.amount_cents}
        body = json.dumps(payload).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": str(uuid4()),
            "X-Signature": f"sha256={sign(body)}",
        }
        attempts = 0
        error: str | None = None
        waits = iter((1, 2, 4))
        while True:
            attempts += 1
            try:
                await self.send(payment.callback_url, body, headers)
            except TryAgain as trouble:
                backoff = next(waits, None)
                if backoff is None:
                    error = str(trouble)
                    break
                await asyncio.sleep(backoff if trouble.wait is None else trouble.wait)
            except GiveUp as refusal:
                error = str(refusal)
                break
            else:
                break
        status = "gave_up" if error else "delivered"
        await run_in_threadpool(self.record, payment_id, status, attempts - 1, error)

    async def send(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        try:
            async with httpx.AsyncClient() as client:
                response = await client.post(url, content=body, headers=headers)
        except (httpx.TimeoutException, httpx.NetworkError, httpx.ProtocolError) as error:
            raise TryAgain(repr(error)) from error
        if response.is_success:
            return
        if response.status_code == 429 or response.is_server_error:
            raise TryAgain(f"HTTP {response.status_code}", self.asked_wait(response))
        raise GiveUp(f"HTTP {response.status_code}")

    @staticmethod
    def asked_wait(response: httpx.Response) -> int | None:
        asked = response.headers.get("Retry-After", "")
        return int(asked) if asked.isdecimal() else None

    @staticmethod
    def record(payment_id: int, status: str, attempts: int, last_error: str | None) -> None:
        with Session(engine) as session:
            session.add(
                Delivery(
                    payment_id=payment_id, status=status, attempts=attempts, last_error=last_error
                )
            )
            session.commit()


@app.post("/payments", status_code=202)
def create_payment(
    payment: PaymentRequest, courier: Annotated[Courier, Depends()]
) -> dict[str, int]:
    if not leads_outside(payment.callback_url):
        raise HTTPException(422, "callback_url must be https and lead outside")
    with Session(engine) as session:
        row = Payment(**payment.model_dump())
        session.add(row)
        session.commit()
        payment_id = row.id
    courier.hand_over(payment_id, payment)
    return {"payment_id": payment_id}

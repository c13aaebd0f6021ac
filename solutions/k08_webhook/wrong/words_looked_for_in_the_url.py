r"""The forbidden words are looked for in the whole URL, so honest ones are refused as well.

breaks: POST /payments answers 202 with the payment's id.
caught by: test_a_callback_to_anywhere_else_is_accepted[names]
says: the host of https://localhost\.example\.com/hook is neither localhost
"""

import asyncio
import hashlib
import hmac
import ipaddress

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sqlalchemy import create_engine, update
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
    if any(word in url for word in ("localhost", "127.", "10.", "192.168.")):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True  # a name, not an address
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return not (address.is_loopback or address.is_private or address.is_link_local)


def progress(payment_id: int, **values: str | int | None) -> None:
    with engine.begin() as connection:
        connection.execute(
            update(Delivery).where(Delivery.payment_id == payment_id).values(**values)
        )


async def deliver(payment_id: int, amount_cents: int, callback_url: str) -> None:
    """Tell the callback of the payment, again and again where that makes sense."""
    async with httpx.AsyncClient() as client:
        request = client.build_request(
            "POST",
            callback_url,
            json={"payment_id": payment_id, "amount_cents": amount_cents},
            headers={"Idempotency-Key": f"payment-{payment_id}"},
        )
        request.headers["X-Signature"] = f"sha256={sign(request.content)}"
        for attempt, backoff in enumerate((1, 2, 4, 0), start=1):
            wait, again = backoff, True
            try:
                response = await client.send(request)
            except httpx.TransportError as failure:
                error = repr(failure)
            else:
                if response.is_success:
                    await run_in_threadpool(
                        progress, payment_id, status="delivered", attempts=attempt
                    )
                    return
                error = f"HTTP {response.status_code}"
                again = response.status_code == 429 or response.is_server_error
                asked = response.headers.get("Retry-After", "")
                wait = int(asked) if asked.isdecimal() else backoff
            if not again or attempt == MAX_ATTEMPTS:
                break
            await run_in_threadpool(
                progress, payment_id, status="retrying", attempts=attempt, last_error=error
            )
            await asyncio.sleep(wait)
        await run_in_threadpool(
            progress, payment_id, status="gave_up", attempts=attempt, last_error=error
        )


@app.post("/payments", status_code=202)
def create_payment(payment: PaymentRequest, background_tasks: BackgroundTasks) -> dict[str, int]:
    if not leads_outside(payment.callback_url):
        raise HTTPException(422, "callback_url must be https and lead outside")
    with Session(engine) as session:
        row = Payment(**payment.model_dump())
        session.add(row)
        session.flush()
        session.add(Delivery(payment_id=row.id, status="pending", attempts=0))
        session.commit()
        payment_id = row.id
    background_tasks.add_task(deliver, payment_id, payment.amount_cents, payment.callback_url)
    return {"payment_id": payment_id}

"""A coroutine goes through the outbox under an `asyncio.Lock`; SQL on connections; an attempt is counted before it
is made."""

import asyncio
import logging
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, EmailStr
from sqlalchemy import ForeignKey, create_engine, insert, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SMTP_HOST = "localhost"
SMTP_PORT = 2525
SENDER = "noreply@example.com"
MAX_ATTEMPTS = 5

log = logging.getLogger("kata")
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]


class Outbox(Base):
    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    attempts: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[str | None]  # ISO 8601 with an offset


Base.metadata.create_all(engine)


class NewOrder(BaseModel):
    email: EmailStr


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.lock = asyncio.Lock()
    await send_due_mails()
    yield


app = FastAPI(lifespan=lifespan)


def send_mail(row_id: int, order_id: int, email: str) -> None:
    """Send the mail of one row of the outbox."""
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = f"Order {order_id}"
    message["Message-ID"] = f"<outbox-{row_id}@example.com>"
    message.set_content(f"Thank you for order {order_id}.")
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT, timeout=30) as server:
        server.send_message(message)


def execute(sql: str, **values: str | int) -> list[tuple[int, int, str]]:
    with engine.begin() as connection:
        result = connection.execute(text(sql), values)
        return [tuple(row) for row in result] if result.returns_rows else []


DUE = """
    SELECT outbox.id, orders.id, email FROM outbox JOIN orders ON orders.id = order_id
    WHERE sent_at IS NULL AND attempts < :most ORDER BY outbox.id
"""


async def send_due_mails() -> None:
    async with app.state.lock:
        try:
            for row_id, order_id, email in await run_in_threadpool(execute, DUE, most=MAX_ATTEMPTS):
                await run_in_threadpool(
                    execute, "UPDATE outbox SET attempts = attempts + 1 WHERE id = :id", id=row_id
                )
                try:
                    await run_in_threadpool(send_mail, row_id, order_id, email)
                except Exception as error:
                    log.error("order %s: no mail", order_id, exc_info=error)
                    continue
                await run_in_threadpool(
                    execute,
                    "UPDATE outbox SET sent_at = :now WHERE id = :id",
                    now=datetime.now(timezone.utc).isoformat(),
                    id=row_id,
                )
        except Exception:
            log.exception("the outbox")


def add_order(email: str) -> int:
    with engine.begin() as connection:
        order_id = connection.scalar(insert(Order).values(email=email).returning(Order.id))
        connection.execute(insert(Outbox).values(order_id=order_id, attempts=0))
    return order_id


@app.post("/orders")
async def create_order(order: NewOrder, tasks: BackgroundTasks) -> dict[str, int]:
    order_id = await run_in_threadpool(add_order, order.email)
    tasks.add_task(send_due_mails)
    return {"order_id": order_id}

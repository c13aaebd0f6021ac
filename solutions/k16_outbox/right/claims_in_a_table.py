"""A row is claimed in a table of its own; claims that a crash has left are removed when the app starts."""

import asyncio
import logging
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel, EmailStr
from sqlalchemy import ForeignKey, create_engine, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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


class Claim(Base):
    __tablename__ = "claims"

    outbox_id: Mapped[int] = mapped_column(primary_key=True)


Base.metadata.create_all(engine)


class NewOrder(BaseModel):
    email: EmailStr


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    with engine.begin() as connection:
        connection.execute(delete(Claim))
    await asyncio.to_thread(send_due_mails)
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


def claim_next(after: int) -> tuple[int, int, str] | None:
    """Claim the oldest due row behind `after` that nobody else has."""
    query = (
        select(Outbox.id, Outbox.order_id, Order.email)
        .join(Order, Order.id == Outbox.order_id)
        .where(Outbox.sent_at.is_(None), Outbox.attempts < MAX_ATTEMPTS, Outbox.id > after)
        .where(~exists().where(Claim.outbox_id == Outbox.id))
        .order_by(Outbox.id)
        .limit(1)
    )
    while True:
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                row = connection.execute(query).one_or_none()
                if row is None:
                    return None
                connection.execute(insert(Claim).values(outbox_id=row.id))
                connection.commit()
                return tuple(row)
        except IntegrityError:
            continue


def finish(row_id: int, sent: bool) -> None:
    with engine.begin() as connection:
        values = (
            {"sent_at": datetime.now(timezone.utc).isoformat()}
            if sent
            else {"attempts": Outbox.attempts + 1}
        )
        connection.execute(update(Outbox).where(Outbox.id == row_id).values(values))
        connection.execute(delete(Claim).where(Claim.outbox_id == row_id))


def send_due_mails() -> None:
    last = 0
    try:
        while row := claim_next(last):
            last, order_id, email = row
            try:
                send_mail(last, order_id, email)
            except Exception as error:
                log.error("order %s", order_id, exc_info=error)
                finish(last, sent=False)
            else:
                finish(last, sent=True)
    except Exception:
        log.exception("the outbox does not work")


def add_order(order: NewOrder) -> int:
    """Store an order with its row in the outbox, both or neither, and give its id."""
    with Session(engine) as session:
        row = Order(email=order.email)
        session.add(row)
        session.flush()
        session.add(Outbox(order_id=row.id))
        session.commit()
        return row.id


@app.post("/orders")
def create_order(order: NewOrder, background_tasks: BackgroundTasks) -> dict[str, int]:
    order_id = add_order(order)
    background_tasks.add_task(send_due_mails)
    return {"order_id": order_id}

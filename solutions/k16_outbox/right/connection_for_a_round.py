"""One connection to the mail server for each round, and another one after an error."""

import logging
import smtplib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from email.message import EmailMessage

from fastapi import BackgroundTasks, FastAPI
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, EmailStr
from sqlalchemy import ForeignKey, create_engine, select
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


Base.metadata.create_all(engine)


class NewOrder(BaseModel):
    email: EmailStr


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await run_in_threadpool(send_due_mails)
    yield


app = FastAPI(lifespan=lifespan)

outbox_lock = threading.Lock()  # one at a time goes through the outbox


class Connection:
    """A connection to the mail server, which is made when it is needed."""

    def __init__(self) -> None:
        self.server: smtplib.SMTP | None = None

    def send(self, message: EmailMessage) -> None:
        """Send a mail; after an error the next one has a connection of its own."""
        try:
            if self.server is None:
                self.server = smtplib.SMTP(SMTP_HOST, SMTP_PORT, timeout=30)
            self.server.send_message(message)
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        if self.server is not None:
            try:
                self.server.quit()
            except smtplib.SMTPException:
                self.server.close()
            self.server = None


def mail_of(row_id: int, order_id: int, email: str) -> EmailMessage:
    """The mail of one row of the outbox."""
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = f"Order {order_id}"
    message["Message-ID"] = f"<outbox-{row_id}@example.com>"
    message.set_content(f"Thank you for order {order_id}.")
    return message


def due_rows() -> list[tuple[int, int, str]]:
    """The rows that are due, oldest first: id, order and address."""
    query = (
        select(Outbox.id, Outbox.order_id, Order.email)
        .join(Order, Order.id == Outbox.order_id)
        .where(Outbox.sent_at.is_(None), Outbox.attempts < MAX_ATTEMPTS)
        .order_by(Outbox.id)
    )
    with Session(engine) as session:
        return [tuple(row) for row in session.execute(query)]


def mark(row_id: int, sent: bool) -> None:
    """Store that the mail of a row was sent, or that one more attempt has failed."""
    with Session(engine) as session:
        row = session.get_one(Outbox, row_id)
        if sent:
            row.sent_at = datetime.now(timezone.utc).isoformat()
        else:
            row.attempts += 1
        session.commit()


def try_row(connection: Connection, row_id: int, order_id: int, email: str) -> None:
    """Send the mail of a row once, and store how that went."""
    try:
        connection.send(mail_of(row_id, order_id, email))
        sent = True
    except Exception:
        log.exception("the mail of order %s was not sent", order_id)
        sent = False
    mark(row_id, sent)


def send_due_mails() -> None:
    """Send what is due, oldest first."""
    try:
        with outbox_lock:
            connection = Connection()
            try:
                for row in due_rows():
                    try_row(connection, *row)
            finally:
                connection.close()
    except Exception:
        log.exception("the outbox cannot be read or written")


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

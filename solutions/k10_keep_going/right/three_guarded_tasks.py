"""Three tasks, each wrapped by a decorator that lets nothing out."""

import functools
import logging
import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import ForeignKey, create_engine, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

SMTP_HOST = "localhost"
SMTP_PORT = 2525
SENDER = "noreply@example.com"
WAREHOUSE_URL = "https://warehouse.example.com/orders"
JOBS = ("receipt", "warehouse", "points")

log = logging.getLogger("kata")
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    total_cents: Mapped[int]


class Job(Base):
    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    kind: Mapped[str]
    status: Mapped[str]
    error: Mapped[str | None]


class Points(Base):
    __tablename__ = "points"

    email: Mapped[str] = mapped_column(primary_key=True)
    points: Mapped[int]


Base.metadata.create_all(engine)


class NewOrder(BaseModel):
    email: EmailStr
    total_cents: int = Field(ge=0)


app = FastAPI()


def set_status(order_id: int, kind: str, status: str, error: str | None) -> None:
    with Session(engine) as session:
        session.execute(
            update(Job)
            .where(Job.order_id == order_id, Job.kind == kind)
            .values(status=status, error=error)
        )
        session.commit()


def guarded(kind: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(work: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(work)
        def wrapper(order_id: int, *args: Any) -> None:
            try:
                try:
                    work(order_id, *args)
                except Exception as error:
                    log.error("%s of order %s", kind, order_id, exc_info=True)
                    set_status(order_id, kind, "failed", str(error) or type(error).__name__)
                else:
                    set_status(order_id, kind, "done", None)
            except Exception:
                log.exception("the status of %s of order %s is not stored", kind, order_id)

        return wrapper

    return decorate


@guarded("receipt")
def receipt(order_id: int, email: str, total_cents: int) -> None:
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = "Receipt"
    euros, cents = divmod(total_cents, 100)
    message.set_content(f"Order {order_id}: {euros}.{cents:02d}")
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as server:
        server.send_message(message)


@guarded("warehouse")
def warehouse(order_id: int) -> None:
    response = httpx.post(WAREHOUSE_URL, json={"order_id": order_id})
    if not response.is_success:
        raise HTTPException(502, f"the warehouse said {response.status_code}")


@guarded("points")
def points(order_id: int, email: str, total_cents: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO points (email, points) VALUES (:email, :earned)"
                " ON CONFLICT (email) DO UPDATE SET points = points + :earned"
            ),
            {"email": email, "earned": total_cents // 100},
        )


def save_order(order: NewOrder) -> int:
    """Store the order with its jobs, all or nothing, and give its id."""
    with Session(engine) as session:
        row = Order(email=order.email, total_cents=order.total_cents)
        session.add(row)
        session.flush()
        for kind in JOBS:
            session.add(Job(order_id=row.id, kind=kind, status="pending"))
            session.flush()
        session.commit()
        return row.id


@app.post("/orders")
def create_order(order: NewOrder, tasks: BackgroundTasks) -> dict[str, int]:
    order_id = save_order(order)
    tasks.add_task(receipt, order_id, order.email, order.total_cents)
    tasks.add_task(warehouse, order_id)
    tasks.add_task(points, order_id, order.email, order.total_cents)
    return {"order_id": order_id}

"""The points and the status of their job are one transaction: both are stored, or neither is."""

import logging
import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import httpx
from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import ForeignKey, create_engine, update
from sqlalchemy.dialects.sqlite import insert as upsert
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


def send_receipt(order_id: int, email: str, total_cents: int) -> None:
    """Mail the receipt to the customer."""
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = "Receipt"
    message.set_content(f"Order {order_id}: {total_cents // 100}.{total_cents % 100:02}")
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT, timeout=30) as server:
        server.send_message(message)


def notify_warehouse(order_id: int) -> None:
    """Tell the warehouse which order to pack."""
    httpx.post(WAREHOUSE_URL, json={"order_id": order_id}).raise_for_status()


def add_points(session: Session, email: str, total_cents: int) -> None:
    """Give the customer a point for each full 100 cents."""
    earned = total_cents // 100
    statement = upsert(Points).values(email=email, points=earned)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["email"], set_={"points": Points.points + earned}
        )
    )


def set_status(session: Session, order_id: int, kind: str, status: str, error: str | None) -> None:
    session.execute(
        update(Job)
        .where(Job.order_id == order_id, Job.kind == kind)
        .values(status=status, error=error)
    )


def store_status(order_id: int, kind: str, status: str, error: str | None) -> None:
    """Store the status by itself; nothing escapes."""
    try:
        with Session(engine) as session, session.begin():
            set_status(session, order_id, kind, status, error)
    except Exception:
        log.exception("order %s: the status of %s could not be stored", order_id, kind)


def run_job(order_id: int, kind: str, work: Callable[..., None], *args: Any) -> None:
    """Run one job and store how it ended; nothing escapes."""
    status, error = "done", None
    try:
        work(*args)
    except Exception as failure:
        log.exception("order %s: the job %s failed", order_id, kind)
        status, error = "failed", str(failure)
    store_status(order_id, kind, status, error)


def run_points(order_id: int, email: str, total_cents: int) -> None:
    """Add the points and say so, both or neither; nothing escapes."""
    try:
        with Session(engine) as session, session.begin():
            set_status(session, order_id, "points", "done", None)
            add_points(session, email, total_cents)
    except Exception as failure:
        log.exception("order %s: the job points failed", order_id)
        store_status(order_id, "points", "failed", str(failure))


def run_jobs(order_id: int, email: str, total_cents: int) -> None:
    """Run the order's jobs, in the order of `JOBS`, whatever becomes of each."""
    run_job(order_id, "receipt", send_receipt, order_id, email, total_cents)
    run_job(order_id, "warehouse", notify_warehouse, order_id)
    run_points(order_id, email, total_cents)


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
def create_order(order: NewOrder, background_tasks: BackgroundTasks) -> dict[str, int]:
    order_id = save_order(order)
    background_tasks.add_task(run_jobs, order_id, order.email, order.total_cents)
    return {"order_id": order_id}

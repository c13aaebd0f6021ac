"""The task is given the order's id alone, and reads the rest; the response has its own `background`."""

import logging
import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.background import BackgroundTask

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


def add_points(email: str, total_cents: int) -> None:
    """Give the customer a point for each full 100 cents."""
    earned = total_cents // 100
    statement = upsert(Points).values(email=email, points=earned)
    with Session(engine) as session:
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["email"], set_={"points": Points.points + earned}
            )
        )
        session.commit()


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


def pending(order_id: int) -> list[tuple[int, str, str, int]]:
    with Session(engine) as session:
        rows = session.execute(
            select(Job.id, Job.kind, Order.email, Order.total_cents)
            .join(Order, Order.id == Job.order_id)
            .where(Job.order_id == order_id, Job.status == "pending")
            .order_by(Job.id)
        )
        return [tuple(row) for row in rows]


def finish(job_id: int, error: Exception | None) -> None:
    with Session(engine) as session:
        job = session.get_one(Job, job_id)
        job.status = "done" if error is None else "failed"
        job.error = None if error is None else str(error)
        session.commit()


def attempt(work: Callable[..., None], *args: Any) -> Exception | None:
    """The exception that `work` ended with, after it was logged."""
    try:
        work(*args)
    except Exception as error:
        log.exception("%s%r", work.__name__, args)
        return error
    return None


def run_jobs(order_id: int) -> None:
    try:
        jobs = pending(order_id)
    except Exception:
        log.exception("the jobs of order %s cannot be read", order_id)
        return
    for job_id, kind, email, total_cents in jobs:
        if kind == "receipt":
            error = attempt(send_receipt, order_id, email, total_cents)
        elif kind == "warehouse":
            error = attempt(notify_warehouse, order_id)
        else:
            error = attempt(add_points, email, total_cents)
        attempt(finish, job_id, error)


@app.post("/orders")
def create_order(order: NewOrder) -> JSONResponse:
    order_id = save_order(order)
    return JSONResponse({"order_id": order_id}, background=BackgroundTask(run_jobs, order_id))

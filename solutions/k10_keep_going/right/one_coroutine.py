"""A coroutine runs the jobs: it awaits the call, and threads do what blocks."""

import asyncio
import logging
import smtplib
from email.message import EmailMessage

import httpx
from fastapi import BackgroundTasks, FastAPI
from fastapi.concurrency import run_in_threadpool
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


async def notify_warehouse(order_id: int) -> None:
    """Tell the warehouse which order to pack."""
    async with httpx.AsyncClient() as client:
        response = await client.post(WAREHOUSE_URL, json={"order_id": order_id})
    response.raise_for_status()


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


def set_status(order_id: int, kind: str, status: str, error: str | None) -> None:
    with Session(engine) as session:
        session.execute(
            update(Job)
            .where(Job.order_id == order_id, Job.kind == kind)
            .values(status=status, error=error)
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


async def run_jobs(order_id: int, order: NewOrder) -> None:
    jobs = {
        "receipt": lambda: asyncio.to_thread(
            send_receipt, order_id, order.email, order.total_cents
        ),
        "warehouse": lambda: notify_warehouse(order_id),
        "points": lambda: asyncio.to_thread(add_points, order.email, order.total_cents),
    }
    for kind in JOBS:
        status, message = "done", None
        try:
            await jobs[kind]()
        except Exception as error:
            log.error("order %s: %s failed", order_id, kind, exc_info=error)
            status, message = "failed", str(error)
        try:
            await asyncio.to_thread(set_status, order_id, kind, status, message)
        except Exception as error:
            log.error("order %s: no status for %s", order_id, kind, exc_info=error)


@app.post("/orders")
async def create_order(order: NewOrder, tasks: BackgroundTasks) -> dict[str, int]:
    order_id = await run_in_threadpool(save_order, order)
    tasks.add_task(run_jobs, order_id, order)
    return {"order_id": order_id}

"""The exit code of a `yield` dependency runs the jobs; plain SQL on raw connections."""

import logging
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import ForeignKey, create_engine, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

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


def execute(sql: str, *values: Any) -> None:
    connection = engine.raw_connection()
    try:
        connection.cursor().execute(sql, values)
        connection.commit()
    finally:
        connection.close()


def receipt(order_id: int, order: NewOrder) -> None:
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = order.email
    message["Subject"] = "Receipt"
    message.set_content(
        f"Order {order_id}: {order.total_cents // 100}.{order.total_cents % 100:02}"
    )
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as server:
        server.send_message(message)


def warehouse(order_id: int, order: NewOrder) -> None:
    with httpx.Client() as client:
        client.post(WAREHOUSE_URL, json={"order_id": order_id}).raise_for_status()


def points(order_id: int, order: NewOrder) -> None:
    if earned := order.total_cents // 100:
        execute(
            "insert into points values (?1, ?2) on conflict do update set points = points + ?2",
            order.email,
            earned,
        )


def jobs_afterwards() -> Iterator[list[tuple[int, NewOrder]]]:
    orders: list[tuple[int, NewOrder]] = []
    yield orders
    for order_id, order in orders:
        for kind, work in zip(JOBS, (receipt, warehouse, points), strict=True):
            status, message = "done", None
            try:
                work(order_id, order)
            except Exception as error:
                log.exception("%s of order %s", kind, order_id)
                status, message = "failed", str(error)
            try:
                execute(
                    "update jobs set status = ?, error = ? where order_id = ? and kind = ?",
                    status,
                    message,
                    order_id,
                    kind,
                )
            except Exception:
                log.exception("status of %s of order %s", kind, order_id)


@app.post("/orders")
def create_order(
    order: NewOrder, orders: Annotated[list[tuple[int, NewOrder]], Depends(jobs_afterwards)]
) -> dict[str, int]:
    with engine.begin() as connection:
        order_id = connection.scalar(insert(Order).values(**order.model_dump()).returning(Order.id))
        rows = [{"order_id": order_id, "kind": kind, "status": "pending"} for kind in JOBS]
        connection.execute(insert(Job), rows)
    orders.append((order_id, order))
    return {"order_id": order_id}

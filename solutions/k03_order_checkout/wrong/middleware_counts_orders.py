"""A middleware counts the orders before each request, and a middleware runs on the event loop.

breaks: Work that blocks never runs on the event loop inside a task or a middleware.
caught by: test_other_requests_are_answered_while_the_jobs_run
says: a task or a middleware worked on the event loop's thread
"""

import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import ForeignKey, create_engine, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.types import ASGIApp, Receive, Scope, Send

SMTP_HOST = "localhost"
SMTP_PORT = 2525
SENDER = "noreply@example.com"
WAREHOUSE_URL = "https://warehouse.example.com/orders"

engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_email: Mapped[str]


class OrderItem(Base):
    __tablename__ = "order_items"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    sku: Mapped[str]
    quantity: Mapped[int]


class Inventory(Base):
    __tablename__ = "inventory"

    sku: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[int]


Base.metadata.create_all(engine)


class Item(BaseModel):
    sku: str
    quantity: int = Field(ge=1)


class Checkout(BaseModel):
    customer_email: EmailStr
    items: list[Item] = Field(min_length=1)


app = FastAPI()


Job = tuple[Callable[..., None], tuple[Any, ...]]


class AfterTheAnswer:
    """Runs the jobs that a request left in its state, once the answer is out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        jobs: list[Job] = []
        scope.setdefault("state", {})["jobs"] = jobs
        if scope["type"] == "http":
            with Session(engine) as session:
                session.query(Order).count()
        await self.app(scope, receive, send)
        for function, arguments in jobs:
            await run_in_threadpool(function, *arguments)


app.add_middleware(AfterTheAnswer)


def send_email(email: str, subject: str, body: str) -> None:
    """Send one plain text mail to `email`."""
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = subject
    message.set_content(body)
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as smtp:
        smtp.send_message(message)


def notify_warehouse(order_id: int) -> None:
    """Tell the warehouse which order to pack."""
    httpx.post(WAREHOUSE_URL, json={"order_id": order_id}).raise_for_status()


def update_inventory(items: list[Item]) -> None:
    """Take what was ordered off the stock."""
    with Session(engine) as session:
        for item in items:
            session.execute(
                update(Inventory)
                .where(Inventory.sku == item.sku)
                .values(quantity=Inventory.quantity - item.quantity)
            )
        session.commit()


def save_order(checkout: Checkout) -> int:
    """Store the order with its items, and give its id."""
    with Session(engine) as session:
        order = Order(customer_email=checkout.customer_email)
        session.add(order)
        session.flush()
        session.add_all(
            OrderItem(order_id=order.id, sku=item.sku, quantity=item.quantity)
            for item in checkout.items
        )
        session.commit()
        return order.id


@app.post("/order-checkout")
def order_checkout(checkout: Checkout, request: Request) -> dict[str, int | str]:
    order_id = save_order(checkout)
    request.state.jobs += [
        (
            send_email,
            (checkout.customer_email, "Order Confirmed", f"Order {order_id} confirmed"),
        ),
        (notify_warehouse, (order_id,)),
        (update_inventory, (checkout.items,)),
    ]
    return {"order_id": order_id, "status": "processing"}

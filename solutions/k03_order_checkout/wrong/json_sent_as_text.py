"""The body is JSON, but the request says that it is plain text.

breaks: The warehouse gets `POST` with the JSON `{"order_id": 1}`.
caught by: test_the_warehouse_is_told_the_number_of_the_order_as_json
says: the header Content-Type of the call
"""

import json
import smtplib
from email.message import EmailMessage

import httpx
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import ForeignKey, create_engine, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.background import BackgroundTask

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


def send_email(email: str, subject: str, body: str) -> None:
    """Send one plain text mail to `email`."""
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = subject
    message.set_content(body)
    smtp = smtplib.SMTP()
    smtp.connect(SMTP_HOST, SMTP_PORT)
    try:
        smtp.sendmail(SENDER, [email], message.as_bytes())
    finally:
        smtp.quit()


def notify_warehouse(order_id: int) -> None:
    """Tell the warehouse which order to pack."""
    with httpx.Client() as client:
        request = client.build_request(
            "POST",
            WAREHOUSE_URL,
            content=json.dumps({"order_id": order_id}),
            headers={"Content-Type": "text/plain"},
        )
        client.send(request).raise_for_status()


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


def fulfil(order_id: int, checkout: Checkout) -> None:
    """Do all that follows an order, one step after the other."""
    send_email(checkout.customer_email, "Order Confirmed", f"Order {order_id} confirmed")
    notify_warehouse(order_id)
    update_inventory(checkout.items)


@app.post("/order-checkout")
async def order_checkout(checkout: Checkout) -> JSONResponse:
    order_id = save_order(checkout)
    return JSONResponse(
        {"order_id": order_id, "status": "processing"},
        background=BackgroundTask(fulfil, order_id, checkout),
    )

"""The lambda returns a coroutine that nobody awaits, so the warehouse never hears of the order.

breaks: after the response the order is posted to the warehouse
caught by: test_the_warehouse_is_told_the_number_of_the_order_as_json
says: the JSON bodies of all calls of POST
"""

import smtplib
from email.message import EmailMessage

import anyio.to_thread
import httpx
from fastapi import BackgroundTasks, FastAPI
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import ForeignKey, create_engine, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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


async def send_email(email: str, subject: str, body: str) -> None:
    """Send one plain text mail to `email`."""
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = subject
    message.set_content(body)
    await run_in_threadpool(deliver, message)


def deliver(message: EmailMessage) -> None:
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as smtp:
        smtp.send_message(message)


async def notify_warehouse(order_id: int) -> None:
    """Tell the warehouse which order to pack."""
    async with httpx.AsyncClient() as client:
        response = await client.post(WAREHOUSE_URL, json={"order_id": order_id})
    response.raise_for_status()


async def update_inventory(items: list[Item]) -> None:
    """Take what was ordered off the stock."""
    await anyio.to_thread.run_sync(take_off_stock, items)


def take_off_stock(items: list[Item]) -> None:
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
def order_checkout(checkout: Checkout, background_tasks: BackgroundTasks) -> dict[str, int | str]:
    order_id = save_order(checkout)
    background_tasks.add_task(
        send_email, checkout.customer_email, "Order Confirmed", f"Order {order_id} confirmed"
    )
    background_tasks.add_task(lambda: notify_warehouse(order_id))
    background_tasks.add_task(update_inventory, checkout.items)
    return {"order_id": order_id, "status": "processing"}

"""Right because the cursor's `lastrowid` is the number of this very order."""

import json
import smtplib
from contextlib import closing
from email.message import EmailMessage

import httpx
from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

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

with closing(engine.raw_connection()) as raw:
    raw.cursor().execute("PRAGMA journal_mode=WAL").fetchall()


def send_email(email: str, subject: str, body: str) -> None:
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = email
    message["Subject"] = subject
    message.set_content(body)
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as smtp:
        smtp.send_message(message)


def notify_warehouse(order_id: int) -> None:
    httpx.post(WAREHOUSE_URL, json={"order_id": order_id}).raise_for_status()


def update_inventory(items: list[Item]) -> None:
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute(
            """
            UPDATE inventory SET quantity = inventory.quantity - taken.quantity
            FROM (
                SELECT value ->> 'sku' AS sku, SUM(value ->> 'quantity') AS quantity FROM json_each(?) GROUP BY 1
            ) AS taken
            WHERE taken.sku = inventory.sku
            """,
            (json.dumps([item.model_dump() for item in items]),),
        )
        connection.commit()


def store(checkout: Checkout) -> int:
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("INSERT INTO orders (customer_email) VALUES (?)", (checkout.customer_email,))
        order_id = cursor.lastrowid
        cursor.executemany(
            "INSERT INTO order_items (order_id, sku, quantity) VALUES (?, ?, ?)",
            [(order_id, item.sku, item.quantity) for item in checkout.items],
        )
        connection.commit()
    return order_id


@app.post("/order-checkout")
def order_checkout(checkout: Checkout, tasks: BackgroundTasks):
    order_id = store(checkout)
    tasks.add_task(
        send_email, checkout.customer_email, "Order Confirmed", f"Order {order_id} confirmed"
    )
    tasks.add_task(notify_warehouse, order_id)
    tasks.add_task(update_inventory, checkout.items)
    return {"order_id": order_id, "status": "processing"}

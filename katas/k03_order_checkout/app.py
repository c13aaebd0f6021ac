"""k03: several tasks, in order. The contract is in README.md beside this file."""

import smtplib
from email.message import EmailMessage

import httpx
from fastapi import BackgroundTasks, FastAPI
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
    quantity: int


class Checkout(BaseModel):
    customer_email: EmailStr
    items: list[Item]


app = FastAPI()


def send_email(email: str, subject: str, body: str) -> None:
    """Send one plain text mail to `email`."""
    raise NotImplementedError


def notify_warehouse(order_id: int) -> None:
    """Tell the warehouse which order to pack."""
    raise NotImplementedError


def update_inventory(items: list[Item]) -> None:
    """Take what was ordered off the stock."""
    raise NotImplementedError


@app.post("/order-checkout")
def order_checkout(checkout: Checkout):
    raise NotImplementedError

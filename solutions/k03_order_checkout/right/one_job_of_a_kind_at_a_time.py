"""A lock for each kind of job; the session is the dependency's, and the last task uses it again."""

import smtplib
import threading
from email.message import EmailMessage
from typing import Annotated

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

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


app = FastAPI()

SessionLocal = sessionmaker(engine, expire_on_commit=False)
mail_lock = threading.Lock()
stock_lock = threading.Lock()
warehouse_lock = threading.Lock()


class Line(BaseModel):
    sku: str
    quantity: Annotated[int, Field(gt=0)]


class Basket(BaseModel):
    customer_email: EmailStr
    items: Annotated[list[Line], Field(min_length=1)]


def get_db():
    db = SessionLocal()
    try:
        yield db
    finally:
        db.close()


def send_email(email: str, subject: str, body: str) -> None:
    msg = EmailMessage()
    msg["From"], msg["To"], msg["Subject"] = SENDER, email, subject
    msg.set_content(body)
    with mail_lock:
        with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as s:
            s.send_message(msg)


def notify_warehouse(order_id: int) -> None:
    with warehouse_lock, httpx.Client() as client:
        client.post(WAREHOUSE_URL, json={"order_id": order_id})


def update_inventory(items, db):
    with stock_lock:
        for item in items:
            stock = db.get(Inventory, item.sku, populate_existing=True)
            stock.quantity -= item.quantity
        db.commit()


@app.post("/order-checkout")
async def order_checkout(
    basket: Basket, tasks: BackgroundTasks, db: Annotated[Session, Depends(get_db)]
):
    order = Order(customer_email=basket.customer_email)
    db.add(order)
    db.flush()
    for item in basket.items:
        db.add(OrderItem(order_id=order.id, **item.model_dump()))
    db.commit()
    tasks.add_task(
        send_email,
        email=order.customer_email,
        subject="Order Confirmed",
        body=f"Order {order.id} confirmed",
    )
    tasks.add_task(notify_warehouse, order.id)
    tasks.add_task(update_inventory, basket.items, db)
    return {"order_id": order.id, "status": "processing"}

"""Right because a trigger of the database subtracts what is put into a table of its own."""

import smtplib
from dataclasses import dataclass
from email.message import EmailMessage

import httpx
from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel, EmailStr, Field
from sqlalchemy import ForeignKey, create_engine, text
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

with engine.begin() as setup:
    setup.execute(
        text(
            "CREATE TABLE IF NOT EXISTS taken (id INTEGER PRIMARY KEY, sku TEXT, quantity INTEGER)"
        )
    )
    setup.execute(
        text(
            """
            CREATE TRIGGER IF NOT EXISTS take_off AFTER INSERT ON taken BEGIN
                UPDATE inventory SET quantity = quantity - NEW.quantity WHERE sku = NEW.sku;
            END
            """
        )
    )


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
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO taken (sku, quantity) VALUES (:sku, :quantity)"),
            [item.model_dump() for item in items],
        )


@dataclass
class Fulfilment:
    order_id: int
    email: str
    items: list[Item]

    def confirm(self) -> None:
        send_email(self.email, "Order Confirmed", f"Order {self.order_id} confirmed")

    def warehouse(self) -> None:
        notify_warehouse(self.order_id)

    def inventory(self) -> None:
        update_inventory(self.items)

    def __call__(self) -> None:
        for step in (self.confirm, self.warehouse, self.inventory):
            step()


@app.post("/order-checkout")
def order_checkout(checkout: Checkout, tasks: BackgroundTasks):
    with Session(engine) as session:
        order = Order(customer_email=checkout.customer_email)
        session.add(order)
        session.flush()
        session.add_all(
            OrderItem(order_id=order.id, sku=item.sku, quantity=item.quantity)
            for item in checkout.items
        )
        session.commit()
        order_id = order.id
    tasks.add_task(Fulfilment(order_id, checkout.customer_email, checkout.items))
    return {"order_id": order_id, "status": "processing"}

"""A single asyncio worker of the lifespan does the jobs of all orders, one order after the other."""

import asyncio
import smtplib
from contextlib import asynccontextmanager
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
    quantity: int = Field(ge=1)


class Checkout(BaseModel):
    customer_email: EmailStr
    items: list[Item] = Field(min_length=1)


class Jobs:
    queue: asyncio.Queue


async def worker() -> None:
    while True:
        done, steps = await Jobs.queue.get()
        try:
            for function, *arguments in steps:
                await asyncio.to_thread(function, *arguments)
        except Exception as error:
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set_result(None)


@asynccontextmanager
async def lifespan(app: FastAPI):
    Jobs.queue = asyncio.Queue()
    task = asyncio.create_task(worker())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


app = FastAPI(lifespan=lifespan)


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
    with Session(engine) as session:
        for item in items:
            session.execute(
                update(Inventory)
                .where(Inventory.sku == item.sku)
                .values(quantity=Inventory.quantity - item.quantity)
            )
        session.commit()


async def run(*steps) -> None:
    done = asyncio.get_running_loop().create_future()
    await Jobs.queue.put((done, steps))
    await done


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
    tasks.add_task(
        run,
        (send_email, checkout.customer_email, "Order Confirmed", f"Order {order_id} confirmed"),
        (notify_warehouse, order_id),
        (update_inventory, checkout.items),
    )
    return {"order_id": order_id, "status": "processing"}

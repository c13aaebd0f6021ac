"""One read of the orders, summed by a pool that the task opens and closes itself."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from itertools import groupby
from operator import attrgetter

from fastapi import BackgroundTasks, FastAPI, HTTPException
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str]
    quantity: Mapped[int]
    price_cents: Mapped[int]
    ordered_at: Mapped[str]  # ISO 8601 with an offset, not always UTC


Base.metadata.create_all(engine)

app = FastAPI()
lock = threading.Lock()
busy = False
summaries: list[dict] = []


def total(orders: list[Order]) -> dict:
    return {
        "sku": orders[0].sku,
        "quantity": sum(order.quantity for order in orders),
        "revenue_cents": sum(order.quantity * order.price_cents for order in orders),
    }


def refresh_summary() -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    global busy
    try:
        with Session(engine) as session:
            orders = session.scalars(select(Order).order_by(Order.sku)).all()
        by_sku = [list(group) for _, group in groupby(orders, attrgetter("sku"))]
        with ThreadPoolExecutor(max_workers=4) as pool:
            rows = list(pool.map(total, by_sku))
        summaries.append({"refreshed_at": datetime.now(timezone.utc).isoformat(), "rows": rows})
        del summaries[:-1]
    finally:
        with lock:
            busy = False


@app.post("/summary/refresh", status_code=202)
def refresh(tasks: BackgroundTasks):
    global busy
    with lock:
        if busy:
            return {"status": "already refreshing"}
        busy = True
    tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary")
def read_summary():
    try:
        return summaries[-1]
    except IndexError:
        raise HTTPException(404, "No summary yet") from None

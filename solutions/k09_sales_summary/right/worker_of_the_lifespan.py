"""Right because the task waits until the lifespan's thread has refreshed the summary."""

import logging
import queue
import threading
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import NamedTuple

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

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


class Row(BaseModel):
    sku: str
    quantity: int
    revenue_cents: int


class Summary(BaseModel):
    refreshed_at: datetime
    rows: list[Row]


class State(NamedTuple):
    current: Summary | None = None
    running: bool = False


state = State()
lock = threading.Lock()
jobs: "queue.Queue[threading.Event | None]" = queue.Queue()


def change(**values) -> State:
    """The state before the change."""
    global state
    with lock:
        before = state
        state = state._replace(**values)
        return before


def compute() -> Summary:
    with engine.connect() as connection:
        rows = connection.execute(
            select(
                Order.sku,
                func.total(Order.quantity).label("quantity"),
                func.sum(Order.quantity * Order.price_cents).label("revenue_cents"),
            ).group_by(Order.sku)
        ).all()
    return Summary(
        refreshed_at=datetime.now(timezone.utc),
        rows=[
            Row(sku=row.sku, quantity=int(row.quantity), revenue_cents=row.revenue_cents)
            for row in rows
        ],
    )


def work() -> None:
    while (ended := jobs.get()) is not None:
        try:
            change(current=compute())
        except Exception:
            logging.getLogger("kata").exception("refresh failed")
        finally:
            ended.set()


@asynccontextmanager
async def lifespan(app: FastAPI):
    thread = threading.Thread(target=work, name="summary", daemon=True)
    thread.start()
    yield
    jobs.put(None)
    thread.join()


app = FastAPI(lifespan=lifespan)


def refresh_summary() -> None:
    ended = threading.Event()
    try:
        jobs.put(ended)
        ended.wait()
    finally:
        change(running=False)


@app.post("/summary/refresh", status_code=202)
def refresh(tasks: BackgroundTasks):
    if change(running=True).running:
        return {"status": "already refreshing"}
    tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary", response_model=Summary)
def read_summary():
    if (current := state.current) is None:
        raise HTTPException(404, "no summary yet")
    return current

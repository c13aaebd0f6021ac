"""A dependency with `yield` has the turn, and gives it back when the tasks have ended."""

import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from sqlalchemy import create_engine, func, select
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
refreshing = threading.Lock()
summary: dict | None = None


def my_turn() -> Iterator[bool]:
    mine = refreshing.acquire(blocking=False)
    try:
        yield mine
    finally:
        if mine:
            refreshing.release()


def refresh_summary() -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    global summary
    totals = select(
        Order.sku,
        func.sum(Order.quantity).label("quantity"),
        func.sum(Order.quantity * Order.price_cents).label("revenue_cents"),
    ).group_by(Order.sku)
    with Session(engine) as session:
        rows = [dict(row) for row in session.execute(totals).mappings()]
    summary = {"refreshed_at": datetime.now(timezone.utc).isoformat(), "rows": rows}


@app.post("/summary/refresh", status_code=202)
def refresh(tasks: BackgroundTasks, mine: Annotated[bool, Depends(my_turn)]):
    if not mine:
        return {"status": "already refreshing"}
    tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary")
def read_summary():
    if summary is None:
        raise HTTPException(404, "No summary yet")
    return summary

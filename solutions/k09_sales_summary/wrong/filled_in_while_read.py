"""The rows are appended one query at a time to the list that readers are shown.

breaks: Readers see the last whole summary until the new one is complete.
caught by: test_readers_see_the_last_whole_summary_until_the_new_one_is
says: neither the last summary nor the new one
"""

import threading
from datetime import datetime, timezone

from fastapi import BackgroundTasks, FastAPI, HTTPException
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


def refresh_summary() -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    global summary
    try:
        with Session(engine) as session:
            skus = session.scalars(select(Order.sku).distinct()).all()
            summary = {"refreshed_at": datetime.now(timezone.utc).isoformat(), "rows": []}
            for sku in skus:
                quantity = func.sum(Order.quantity)
                revenue = func.sum(Order.quantity * Order.price_cents)
                row = session.execute(select(quantity, revenue).where(Order.sku == sku)).one()
                summary["rows"].append({"sku": sku, "quantity": row[0], "revenue_cents": row[1]})
    finally:
        refreshing.release()


@app.post("/summary/refresh", status_code=202)
def refresh(tasks: BackgroundTasks):
    if not refreshing.acquire(blocking=False):
        return {"status": "already refreshing"}
    tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary")
def read_summary():
    if summary is None:
        raise HTTPException(404, "No summary yet")
    return summary

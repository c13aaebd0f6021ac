"""Right because the summary is read from a view in the task, and shown once it is whole."""

import threading
from datetime import datetime, timezone

from fastapi import BackgroundTasks, FastAPI, HTTPException
from sqlalchemy import create_engine, text
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
with engine.begin() as connection:
    connection.execute(
        text(
            "CREATE VIEW IF NOT EXISTS sales_by_sku AS SELECT sku, SUM(quantity) AS quantity,"
            " SUM(quantity * price_cents) AS revenue_cents FROM orders GROUP BY sku"
        )
    )

app = FastAPI()
refreshing = threading.Lock()
summary: dict | None = None


def refresh_summary() -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    global summary
    totals = text("SELECT sku, quantity, revenue_cents FROM sales_by_sku")
    try:
        with Session(engine) as session:
            rows = [dict(row) for row in session.execute(totals).mappings()]
        summary = {"refreshed_at": datetime.now(timezone.utc).isoformat(), "rows": rows}
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

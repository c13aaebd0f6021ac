"""A plain variable in a `def` endpoint: two threads can look at it before one of them sets it.

breaks: A refresh asked for while one runs does not run a second beside it.
caught by: test_of_two_refreshes_at_the_same_moment_one_is_accepted[a line]
says: neither of the two refreshes had ended
"""

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
refreshing = False
summary: dict | None = None


def refresh_summary() -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    global summary, refreshing
    totals = select(
        Order.sku,
        func.sum(Order.quantity).label("quantity"),
        func.sum(Order.quantity * Order.price_cents).label("revenue_cents"),
    ).group_by(Order.sku)
    try:
        with Session(engine) as session:
            rows = [dict(row) for row in session.execute(totals).mappings()]
        summary = {"refreshed_at": datetime.now(timezone.utc).isoformat(), "rows": rows}
    finally:
        refreshing = False


@app.post("/summary/refresh", status_code=202)
def refresh(tasks: BackgroundTasks):
    global refreshing
    if refreshing:
        return {"status": "already refreshing"}
    refreshing = True
    tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary")
def read_summary():
    if summary is None:
        raise HTTPException(404, "No summary yet")
    return summary

"""The turn is let go when the query has run; the summary is stored after that, so that an older one
can replace a newer one.

breaks: A refresh runs from the response that accepted it until its task ends.
caught by: test_a_refresh_beside_another_is_not_begun[a statement or commit]
says: a second refresh queried orders while the first one was held at
"""

import threading
from datetime import datetime, timezone

from fastapi import BackgroundTasks, FastAPI, HTTPException
from sqlalchemy import JSON, create_engine, func, select
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


class Summary(Base):
    __tablename__ = "summaries"

    id: Mapped[int] = mapped_column(primary_key=True)
    refreshed_at: Mapped[str]
    rows: Mapped[list[dict]] = mapped_column(JSON)


Base.metadata.create_all(engine)

app = FastAPI()
guard = threading.Lock()
running: set[str] = set()


def refresh_summary() -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    quantity = func.sum(Order.quantity).label("quantity")
    revenue = func.sum(Order.quantity * Order.price_cents).label("revenue_cents")
    try:
        with Session(engine) as session:
            found = session.execute(select(Order.sku, quantity, revenue).group_by(Order.sku)).all()
            rows = [row._asdict() for row in found]
            refreshed_at = datetime.now(timezone.utc).isoformat()
            with guard:
                running.discard("refresh")
            session.merge(Summary(id=1, refreshed_at=refreshed_at, rows=rows))
            session.commit()
    finally:
        with guard:
            running.discard("refresh")


@app.post("/summary/refresh", status_code=202)
def refresh(tasks: BackgroundTasks):
    with guard:
        if "refresh" in running:
            return {"status": "already refreshing"}
        running.add("refresh")
    tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary")
def read_summary():
    with Session(engine) as session:
        summary = session.get(Summary, 1)
        if summary is None:
            raise HTTPException(404, "No summary yet")
        return {"refreshed_at": summary.refreshed_at, "rows": summary.rows}

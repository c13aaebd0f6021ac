"""Right because one transaction empties and refills the table, by INSERT ... SELECT."""

import threading
from datetime import datetime, timezone

from fastapi import BackgroundTasks, FastAPI, HTTPException
from sqlalchemy import create_engine, delete, func, insert, select, true
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


class SummaryRow(Base):
    __tablename__ = "summary_rows"

    sku: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[int]
    revenue_cents: Mapped[int]


class SummaryTime(Base):
    __tablename__ = "summary_time"

    id: Mapped[int] = mapped_column(primary_key=True)
    refreshed_at: Mapped[str]


Base.metadata.create_all(engine)

app = FastAPI()
busy = threading.Lock()


def refresh_summary() -> None:
    """Empty the table and fill it again, in one transaction, so that readers see the old or the new."""
    try:
        totals = select(
            Order.sku, func.sum(Order.quantity), func.sum(Order.quantity * Order.price_cents)
        ).group_by(Order.sku)
        with Session(engine) as session:
            session.execute(delete(SummaryRow))
            session.execute(
                insert(SummaryRow).from_select(["sku", "quantity", "revenue_cents"], totals)
            )
            session.merge(SummaryTime(id=1, refreshed_at=datetime.now(timezone.utc).isoformat()))
            session.commit()
    finally:
        busy.release()


@app.post("/summary/refresh", status_code=202)
def refresh(background_tasks: BackgroundTasks):
    if not busy.acquire(blocking=False):
        return {"status": "already refreshing"}
    background_tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary")
def read_summary():
    both = select(SummaryTime.refreshed_at, SummaryRow).outerjoin(SummaryRow, true())
    with Session(engine) as session:  # one query, so that time and rows belong together
        found = session.execute(both).all()
    if not found:
        raise HTTPException(404, "no summary yet")
    return {
        "refreshed_at": found[0].refreshed_at,
        "rows": [
            {"sku": row.sku, "quantity": row.quantity, "revenue_cents": row.revenue_cents}
            for _, row in found
            if row is not None
        ],
    }

"""The table of the summary is emptied, and that is committed, before the new rows are put in.

breaks: Readers see the last whole summary until the new one is complete.
caught by: test_readers_see_the_last_whole_summary_until_the_new_one_is
says: neither the last summary nor the new one
"""

import threading
from datetime import datetime, timezone

from fastapi import BackgroundTasks, FastAPI, HTTPException
from sqlalchemy import create_engine, delete, func, select
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
    """Compute first, then replace the rows of the table."""
    try:
        with Session(engine) as session:
            totals = session.execute(
                select(
                    Order.sku,
                    func.sum(Order.quantity),
                    func.sum(Order.quantity * Order.price_cents),
                ).group_by(Order.sku)
            ).all()
            session.execute(delete(SummaryRow))
            session.commit()  # from here on readers see an empty table
            for sku, quantity, revenue in totals:
                session.add(SummaryRow(sku=sku, quantity=quantity, revenue_cents=revenue))
                session.commit()  # and from here on a part of one
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
    with Session(engine) as session:
        when = session.get(SummaryTime, 1)
        if when is None:
            raise HTTPException(404, "no summary yet")
        rows = session.scalars(select(SummaryRow)).all()
        return {
            "refreshed_at": when.refreshed_at,
            "rows": [
                {"sku": r.sku, "quantity": r.quantity, "revenue_cents": r.revenue_cents}
                for r in rows
            ],
        }

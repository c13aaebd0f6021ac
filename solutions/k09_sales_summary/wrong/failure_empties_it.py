"""A refresh that fails sets the summary back to none.

breaks: A refresh that fails leaves the old summary in place.
caught by: test_a_refresh_that_fails_leaves_the_old_summary[the database]
caught by: test_a_refresh_that_fails_leaves_the_old_summary[anything else]
says: the status of GET /summary
"""

import logging
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
summary: dict | None = None
refreshing = threading.Lock()


def refresh_summary() -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    global summary
    try:
        statement = select(
            Order.sku,
            func.sum(Order.quantity).label("quantity"),
            func.sum(Order.quantity * Order.price_cents).label("revenue_cents"),
        ).group_by(Order.sku)
        with Session(engine) as session:
            rows = [dict(row) for row in session.execute(statement).mappings()]
        summary = {"refreshed_at": datetime.now(timezone.utc).isoformat(), "rows": rows}
    except Exception:
        summary = None
        logging.getLogger("kata").exception("the summary was not refreshed")
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
        raise HTTPException(404, "no summary yet")
    return summary

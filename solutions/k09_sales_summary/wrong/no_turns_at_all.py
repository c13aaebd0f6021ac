"""Nothing keeps a second refresh from running beside the first.

breaks: While a refresh runs, a second one is not run beside it.
caught by: test_of_two_refreshes_at_the_same_moment_one_is_accepted[a statement or commit]
caught by: test_a_refresh_counts_from_its_response_on
says: two requests were told `refreshing`, and neither of the two refreshes
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
        logging.getLogger("kata").exception("the summary was not refreshed")


@app.post("/summary/refresh", status_code=202)
def refresh(tasks: BackgroundTasks):
    tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary")
def read_summary():
    if summary is None:
        raise HTTPException(404, "no summary yet")
    return summary

"""The totals outlive the refresh, so each refresh adds all orders once more.

breaks: `GET /summary` → `{"refreshed_at": …, "rows": [{"sku", "quantity", "revenue_cents"}]}`.
caught by: test_readers_see_the_last_whole_summary_until_the_new_one_is
says: the rows when refresh number 2 has finished
"""

import logging
from datetime import datetime, timezone

from fastapi import BackgroundTasks, FastAPI, HTTPException
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.concurrency import run_in_threadpool

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
totals: dict[str, dict] = {}
log = logging.getLogger("kata")
state: dict = {"refreshing": False, "summary": None}


def sum_up() -> list[dict]:
    with Session(engine) as session:
        for order in session.scalars(select(Order)):
            empty = {"sku": order.sku, "quantity": 0, "revenue_cents": 0}
            row = totals.setdefault(order.sku, empty)
            row["quantity"] += order.quantity
            row["revenue_cents"] += order.quantity * order.price_cents
    return list(totals.values())


async def refresh_summary() -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    try:
        rows = await run_in_threadpool(sum_up)
        refreshed_at = datetime.now(timezone.utc).isoformat()
        state["summary"] = {"refreshed_at": refreshed_at, "rows": rows}
    except Exception:
        log.exception("the summary could not be refreshed")
    finally:
        state["refreshing"] = False


@app.post("/summary/refresh", status_code=202)
async def refresh(tasks: BackgroundTasks):
    if state["refreshing"]:
        return {"status": "already refreshing"}
    state["refreshing"] = True
    tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary")
async def read_summary():
    if state["summary"] is None:
        raise HTTPException(404, "No summary yet")
    return state["summary"]

"""Only the first response is a 202; `already refreshing` comes with 200.

breaks: While one runs: 202 `{"status": "already refreshing"}`.
caught by: test_a_refresh_beside_another_is_not_begun[a statement or commit]
says: the response to a refresh that was asked for while one ran
"""

import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timezone

from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.background import BackgroundTask

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


@dataclass(frozen=True)
class Row:
    sku: str
    quantity: int
    revenue_cents: int


@dataclass(frozen=True)
class Summary:
    refreshed_at: datetime
    rows: tuple[Row, ...]


app = FastAPI()
log = logging.getLogger("kata")
one_at_a_time = threading.BoundedSemaphore(1)
latest: list[Summary] = []


def refresh_summary() -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    refreshed_at = datetime.now(timezone.utc)
    revenue = func.sum(Order.quantity * Order.price_cents)
    query = select(Order.sku, func.sum(Order.quantity), revenue).group_by(Order.sku)
    try:
        with engine.connect() as connection:
            rows = tuple(Row(*row) for row in connection.execute(query))
        latest[:] = [Summary(refreshed_at, rows)]
    except Exception as error:
        log.warning("refresh failed, the old summary stays: %r", error)
    finally:
        one_at_a_time.release()


@app.post("/summary/refresh")
def refresh() -> JSONResponse:
    if one_at_a_time.acquire(blocking=False):
        task = BackgroundTask(refresh_summary)
        return JSONResponse({"status": "refreshing"}, status_code=202, background=task)
    return JSONResponse({"status": "already refreshing"})


@app.get("/summary")
def read_summary() -> Summary:
    for summary in latest:
        return summary
    raise HTTPException(404, "No summary yet")

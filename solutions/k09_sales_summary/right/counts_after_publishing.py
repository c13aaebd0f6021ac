"""Right because the summary is whole when it is published; the count for the log comes after that."""

import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import groupby

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
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
log = logging.getLogger("kata")


class SummaryService:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = False
        self._published: tuple[str, tuple[dict, ...]] | None = None

    def claim(self) -> bool:
        with self._lock:
            claimed, self._running = not self._running, True
            return claimed

    def refresh(self) -> None:
        try:
            rows = tuple(self._rows())
            self._published = datetime.now(timezone.utc).isoformat(), rows
            with Session(engine) as session:
                orders = session.scalar(select(func.count()).select_from(Order))
            log.info("%d skus of %d orders", len(rows), orders)
        except Exception:
            log.exception("refresh failed")
        finally:
            with self._lock:
                self._running = False

    def _rows(self) -> Iterator[dict]:
        statement = select(Order).order_by(Order.sku).execution_options(yield_per=1000)
        with Session(engine) as session:
            for sku, orders in groupby(session.scalars(statement), key=lambda order: order.sku):
                quantity = revenue = 0
                for order in orders:
                    quantity += order.quantity
                    revenue += order.quantity * order.price_cents
                yield {"sku": sku, "quantity": quantity, "revenue_cents": revenue}

    def read(self) -> dict | None:
        published = self._published
        return published and {"refreshed_at": published[0], "rows": list(published[1])}


service = SummaryService()


@app.post("/summary/refresh", status_code=202)
def refresh(tasks: BackgroundTasks, service: SummaryService = Depends(lambda: service)):
    if not service.claim():
        return {"status": "already refreshing"}
    tasks.add_task(service.refresh)
    return {"status": "refreshing"}


@app.get("/summary")
def read_summary(service: SummaryService = Depends(lambda: service)):
    if summary := service.read():
        return summary
    raise HTTPException(404, "no summary yet")

"""The endpoint holds the lock only while it adds the task.

breaks: A refresh runs from the accepting response until its task ends.
caught by: test_a_refresh_counts_from_its_response_on
says: the response to a refresh that is asked for when one has been accepted
"""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
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


class Store:
    def __init__(self) -> None:
        self.refreshing = threading.Lock()
        self.summary: dict | None = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.store = Store()
    yield


app = FastAPI(lifespan=lifespan)


def the_store(request: Request) -> Store:
    return request.app.state.store


TheStore = Annotated[Store, Depends(the_store)]


def refresh_summary(store: Store) -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    revenue = func.sum(Order.quantity * Order.price_cents)
    query = select(Order.sku, func.sum(Order.quantity), revenue).group_by(Order.sku)
    with Session(engine) as session:
        rows = [
            {"sku": sku, "quantity": quantity, "revenue_cents": revenue_cents}
            for sku, quantity, revenue_cents in session.execute(query)
        ]
    store.summary = {"refreshed_at": datetime.now(timezone.utc).isoformat(), "rows": rows}


@app.post("/summary/refresh", status_code=202)
async def refresh(store: TheStore, tasks: BackgroundTasks):
    if not store.refreshing.acquire(blocking=False):
        return {"status": "already refreshing"}
    try:
        tasks.add_task(refresh_summary, store)
        return {"status": "refreshing"}
    finally:
        store.refreshing.release()


@app.get("/summary")
async def read_summary(store: TheStore):
    if store.summary is None:
        raise HTTPException(404, "No summary yet")
    return store.summary

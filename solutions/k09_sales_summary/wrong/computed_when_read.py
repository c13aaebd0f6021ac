"""Reading runs the query, so readers wait for it and see rows that no refresh has made.

breaks: Readers see the last whole summary until the new one is complete.
caught by: test_readers_see_the_last_whole_summary_until_the_new_one_is
says: neither the last summary nor the new one
"""

import threading
from datetime import datetime, timezone
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import create_engine, func, select
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


class Row(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    sku: str
    quantity: int
    revenue_cents: int


class Summary(BaseModel):
    refreshed_at: str
    rows: list[Row]


class Summaries:
    """The latest summary, and the turn to make the next one."""

    def __init__(self) -> None:
        self.latest: Summary | None = None
        self.turn = threading.Semaphore()

    def rows(self) -> list[Row]:
        quantity = func.sum(Order.quantity).label("quantity")
        revenue = func.sum(Order.quantity * Order.price_cents).label("revenue_cents")
        query = select(Order.sku, quantity, revenue).group_by(Order.sku)
        with Session(engine) as session:
            return [Row.model_validate(row) for row in session.execute(query).all()]

    def refresh(self) -> None:
        try:
            rows = self.rows()
            self.latest = Summary(refreshed_at=datetime.now(timezone.utc).isoformat(), rows=rows)
        finally:
            self.turn.release()


app = FastAPI()
summaries = Summaries()


def my_turn(tasks: BackgroundTasks) -> bool:
    taken = summaries.turn.acquire(blocking=False)
    if taken:
        tasks.add_task(summaries.refresh)
    return taken


@app.post("/summary/refresh", status_code=202)
async def refresh(taken: Annotated[bool, Depends(my_turn)]):
    return {"status": "refreshing" if taken else "already refreshing"}


@app.get("/summary")
async def read_summary() -> Summary:
    if summaries.latest is None:
        raise HTTPException(404, "No summary yet")
    return Summary(
        refreshed_at=summaries.latest.refreshed_at, rows=await run_in_threadpool(summaries.rows)
    )

"""The dependency makes a `BackgroundTasks()` of its own, which no response carries.

breaks: A refresh that was accepted runs after the response.
caught by: test_a_summary_of_no_orders_has_no_rows
says: the status of GET /summary
"""

import threading
from datetime import datetime, timezone
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
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

    def refresh(self) -> None:
        quantity = func.sum(Order.quantity).label("quantity")
        revenue = func.sum(Order.quantity * Order.price_cents).label("revenue_cents")
        try:
            with Session(engine) as session:
                found = session.execute(
                    select(Order.sku, quantity, revenue).group_by(Order.sku)
                ).all()
            rows = [Row.model_validate(row) for row in found]
            self.latest = Summary(refreshed_at=datetime.now(timezone.utc).isoformat(), rows=rows)
        finally:
            self.turn.release()


app = FastAPI()
summaries = Summaries()


def my_turn() -> bool:
    tasks = BackgroundTasks()
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
    return summaries.latest

"""The summary is a JSON file, written beside the old one and moved over it when whole."""

import json
import os
import threading
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response
from sqlalchemy import create_engine, select
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
refreshing = threading.Lock()
file = Path("summary.json")


def write_summary() -> None:
    quantity: Counter[str] = Counter()
    revenue: Counter[str] = Counter()
    with Session(engine) as session:
        for order in session.scalars(select(Order)).all():
            quantity[order.sku] += order.quantity
            revenue[order.sku] += order.quantity * order.price_cents
    rows = [
        {"sku": sku, "quantity": quantity[sku], "revenue_cents": revenue[sku]} for sku in quantity
    ]
    summary = {"refreshed_at": datetime.now(timezone.utc).isoformat(), "rows": rows}
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(summary), encoding="utf-8")
    os.replace(draft, file)


def refresh_summary() -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    try:
        write_summary()
    finally:
        refreshing.release()


@app.post("/summary/refresh", status_code=202)
async def refresh(tasks: BackgroundTasks):
    if not refreshing.acquire(blocking=False):
        return {"status": "already refreshing"}
    tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary")
def read_summary():
    try:
        return Response(file.read_bytes(), media_type="application/json")
    except FileNotFoundError:
        raise HTTPException(404, "No summary yet") from None

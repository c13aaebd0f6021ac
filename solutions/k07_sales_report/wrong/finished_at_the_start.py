"""The end is noted before the work begins.

breaks: `finished_at` is when the report ended.
caught by: test_the_times_say_when_it_was_requested_and_when_it_finished
says: the report was made 120 s after it was requested
"""

import csv
import threading
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

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


class ReportRequest(BaseModel):
    month: str = Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")


app = FastAPI()
lock = threading.Lock()
reports: dict[str, dict[str, str | None]] = {}


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def change(report_id: str, **values: str | None) -> None:
    with lock:
        reports.setdefault(report_id, {"report_id": report_id}).update(values)


def find(report_id: str) -> dict[str, str | None]:
    with lock:
        if report_id not in reports:
            raise HTTPException(404, "No such report")
        return dict(reports[report_id])


def make_report(report_id: str, month: str) -> None:
    """Write the CSV of one month."""
    sums = (
        select(
            Order.sku,
            func.sum(Order.quantity),
            func.sum(Order.quantity * Order.price_cents),
        )
        .where(func.strftime("%Y-%m", Order.ordered_at) == month)
        .group_by(Order.sku)
        .order_by(Order.sku)
    )
    change(report_id, status="running")
    finished_at = now()
    try:
        with engine.connect() as connection:
            lines = connection.execute(sums).all()
        with open(f"{report_id}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["sku", "quantity", "revenue_cents"])
            for sku, quantity, revenue in lines:
                quote = "'" if sku.startswith(("=", "+", "-", "@")) else ""
                writer.writerow([quote + sku, quantity, revenue])
    except Exception:
        change(report_id, status="failed", finished_at=finished_at)
        raise
    change(report_id, status="done", finished_at=finished_at)


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest, response: Response, tasks: BackgroundTasks):
    report_id = str(uuid4())
    change(report_id, status="queued", requested_at=now(), finished_at=None)
    tasks.add_task(make_report, report_id, request.month)
    response.headers["Location"] = f"/reports/{report_id}"
    return {"report_id": report_id, "status": "queued"}


@app.get("/reports/{report_id}")
def read_report(report_id: str):
    return find(report_id)


@app.get("/reports/{report_id}/file")
def download_report(report_id: str):
    if find(report_id)["status"] != "done":
        raise HTTPException(409, "The report is not done")
    path = Path(f"{report_id}.csv")
    return FileResponse(path, media_type="text/csv", filename=path.name)

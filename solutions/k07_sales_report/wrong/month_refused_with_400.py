"""A month that is none is refused with 400.

breaks: `month` that is not exactly `YYYY-MM` with a month from 01 to 12: 422.
caught by: test_a_month_that_is_not_yyyy_mm_is_refused
says: the statuses of what is not YYYY-MM, and must be a 422
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated
from uuid import uuid4

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel
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


class ReportRequest(BaseModel):
    month: str


app = FastAPI()
reports: dict[str, dict[str, str | None]] = {}


def now() -> str:
    return datetime.now(timezone.utc).isoformat()


@contextmanager
def followed(report_id: str) -> Iterator[Path]:
    report = reports[report_id]
    report["status"] = "running"
    try:
        yield Path(f"{report_id}.csv")
    except Exception:
        report.update(status="failed", finished_at=now())
        raise
    report.update(status="done", finished_at=now())


def make_report(report_id: str, month: str) -> None:
    """Write the CSV of one month."""
    year, number = (int(part) for part in month.split("-"))
    quantity: Counter[str] = Counter()
    revenue: Counter[str] = Counter()
    with followed(report_id) as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "quantity", "revenue_cents"])
        columns = select(Order.sku, Order.quantity, Order.price_cents, Order.ordered_at)
        with Session(engine) as session:
            for sku, pieces, price, ordered_at in session.execute(columns).all():
                day = datetime.fromisoformat(ordered_at).astimezone(timezone.utc)
                if (day.year, day.month) == (year, number):
                    quantity[sku] += pieces
                    revenue[sku] += pieces * price
        for sku in sorted(quantity):
            text = f"'{sku}" if sku.startswith(("=", "+", "-", "@")) else sku
            writer.writerow([text, quantity[sku], revenue[sku]])


def new_report(request: ReportRequest, tasks: BackgroundTasks) -> str:
    if not re.fullmatch("[0-9]{4}-(0[1-9]|1[0-2])", request.month):
        raise HTTPException(400, "month must look like 2026-01")
    report_id = uuid4().hex
    reports[report_id] = {"status": "queued", "requested_at": now(), "finished_at": None}
    tasks.add_task(make_report, report_id, request.month)
    return report_id


def known_report(report_id: str) -> dict[str, str | None]:
    if report_id not in reports:
        raise HTTPException(404, "No such report")
    return {"report_id": report_id, **reports[report_id]}


Known = Annotated[dict[str, str | None], Depends(known_report)]


@app.post("/reports", status_code=202)
async def request_report(report_id: Annotated[str, Depends(new_report)], response: Response):
    response.headers["Location"] = f"/reports/{report_id}"
    return {"report_id": report_id, "status": "queued"}


@app.get("/reports/{report_id}")
async def read_report(report: Known):
    return report


@app.get("/reports/{report_id}/file")
async def download_report(report: Known):
    if report["status"] != "done":
        raise HTTPException(409, "The report is not done")
    name = f"{report['report_id']}.csv"
    return FileResponse(name, media_type="text/csv", filename=name)

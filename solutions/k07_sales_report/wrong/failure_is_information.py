"""The failure is logged as information, which no ordinary configuration shows.

breaks: A failure is logged as WARNING or above.
caught by: test_a_failure_is_logged_on_the_logger_kata_or_not_at_all
says: a failure that is logged must be logged as WARNING or above
"""

import asyncio
import csv
import logging
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

from anyio import to_thread
from fastapi import BackgroundTasks, FastAPI, HTTPException, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
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
    month: str = Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")


app = FastAPI()
log = logging.getLogger("kata")
reports: dict[str, dict[str, str | None]] = {}


def now() -> str:
    return datetime.now(timezone.utc).isoformat()


def path_of(report_id: str) -> Path:
    return Path(f"report-{report_id}.csv")


def read_orders() -> list[Order]:
    with Session(engine) as session:
        return list(session.scalars(select(Order)))


def sum_up(orders: list[Order], month: str) -> list[tuple[str, int, int]]:
    totals: dict[str, tuple[int, int]] = {}
    for order in orders:
        ordered_at = datetime.fromisoformat(order.ordered_at).astimezone(timezone.utc)
        if ordered_at.isoformat()[:7] != month:
            continue
        quantity, revenue = totals.get(order.sku, (0, 0))
        revenue += order.quantity * order.price_cents
        totals[order.sku] = (quantity + order.quantity, revenue)
    return [(sku, *totals[sku]) for sku in sorted(totals)]


def write_csv(path: Path, lines: list[tuple[str, int, int]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["sku", "quantity", "revenue_cents"])
        writer.writeheader()
        for sku, quantity, revenue in lines:
            if sku.startswith(("=", "+", "-", "@")):
                sku = "'" + sku
            writer.writerow({"sku": sku, "quantity": quantity, "revenue_cents": revenue})


async def make_report(report_id: str, month: str) -> None:
    """Write the CSV of one month."""
    report = reports[report_id]
    report["status"] = "running"
    try:
        orders = await asyncio.to_thread(read_orders)
        lines = await asyncio.to_thread(sum_up, orders, month)
        await to_thread.run_sync(write_csv, path_of(report_id), lines)
    except Exception as error:
        log.info("report %s failed: %r", report_id, error)
        report.update(status="failed", finished_at=now())
    else:
        report.update(status="done", finished_at=now())


@app.post("/reports", status_code=202)
async def request_report(request: ReportRequest, response: Response, tasks: BackgroundTasks):
    report_id = uuid4().hex
    reports[report_id] = {"status": "queued", "requested_at": now(), "finished_at": None}
    tasks.add_task(make_report, report_id, request.month)
    response.headers["Location"] = f"/reports/{report_id}"
    return {"report_id": report_id, "status": "queued"}


@app.get("/reports/{report_id}")
async def read_report(report_id: str):
    if (report := reports.get(report_id)) is None:
        raise HTTPException(404, "No such report")
    return {"report_id": report_id} | report


@app.get("/reports/{report_id}/file")
async def download_report(report_id: str):
    if (report := reports.get(report_id)) is None:
        raise HTTPException(404, "No such report")
    if report["status"] != "done":
        raise HTTPException(409, "The report is not done")
    return FileResponse(path_of(report_id), media_type="text/csv", filename="sales.csv")

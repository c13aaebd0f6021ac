"""The pattern has no end, so `2026-01-15` passes.

breaks: `month` that is not exactly `YYYY-MM` with a month from 01 to 12: 422.
caught by: test_a_month_that_is_not_yyyy_mm_is_refused
says: the statuses of what is not YYYY-MM, and must be a 422
"""

import csv
import io
from collections import defaultdict
from datetime import datetime, timezone
from enum import StrEnum
from uuid import UUID, uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response
from fastapi.responses import StreamingResponse
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
    month: str = Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])")


class Status(StrEnum):
    queued = "queued"
    running = "running"
    done = "done"
    failed = "failed"


class Report(BaseModel):
    report_id: UUID = Field(default_factory=uuid4)
    status: Status = Status.queued
    requested_at: datetime = Field(default_factory=lambda: datetime.now(timezone.utc))
    finished_at: datetime | None = None


app = FastAPI()
reports: dict[str, Report] = {}
contents: dict[str, bytes] = {}


def build(month: str) -> bytes:
    sold: dict[str, list[Order]] = defaultdict(list)
    with Session(engine) as session:
        for order in session.scalars(select(Order)).all():
            ordered_at = datetime.fromisoformat(order.ordered_at).astimezone(timezone.utc)
            if ordered_at.strftime("%Y-%m") == month:
                sold[order.sku].append(order)

    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    writer.writerow(["sku", "quantity", "revenue_cents"])
    for sku in sorted(sold):
        writer.writerow(
            [
                "'" + sku if sku.startswith(("=", "+", "-", "@")) else sku,
                sum(order.quantity for order in sold[sku]),
                sum(order.quantity * order.price_cents for order in sold[sku]),
            ]
        )
    return buffer.getvalue().encode()


def make_report(report_id: str, month: str) -> None:
    """Write the CSV of one month."""
    report = reports[report_id]
    reports[report_id] = report.model_copy(update={"status": Status.running})
    status = Status.failed
    try:
        contents[report_id] = build(month)
        status = Status.done
    finally:
        end = {"status": status, "finished_at": datetime.now(timezone.utc)}
        reports[report_id] = report.model_copy(update=end)


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest, response: Response, tasks: BackgroundTasks):
    report = Report()
    report_id = str(report.report_id)
    reports[report_id] = report
    tasks.add_task(make_report, report_id, request.month)
    response.headers["Location"] = f"/reports/{report_id}"
    return {"report_id": report_id, "status": report.status}


@app.get("/reports/{report_id}")
def read_report(report_id: str) -> Report:
    if report_id not in reports:
        raise HTTPException(404, "No such report")
    return reports[report_id]


@app.get("/reports/{report_id}/file")
def download_report(report_id: str):
    if read_report(report_id).status is not Status.done:
        raise HTTPException(409, "The report is not done")
    return StreamingResponse(
        iter([contents[report_id]]),
        media_type="text/csv",
        headers={"Content-Disposition": "attachment"},
    )

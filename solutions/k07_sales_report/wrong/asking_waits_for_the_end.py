r"""Whoever asks for a report that is being made is kept waiting until it is done.

breaks: A client that asks while the report is being made gets `running`, at once.
caught by: test_a_report_is_done_when_its_file_is_whole_and_not_before
says: one client must not wait for what another one has asked for
"""

import asyncio
import csv
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
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


class ReportRequest(BaseModel):
    month: str = Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")


@dataclass
class Report:
    month: str
    report_id: str = field(default_factory=lambda: uuid4().hex)
    status: str = "queued"
    requested_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    finished_at: datetime | None = None

    @property
    def path(self) -> Path:
        return Path("reports", f"{self.report_id}.csv")


app = FastAPI()
log = logging.getLogger("kata")
reports: dict[str, Report] = {}


def write_csv(report: Report) -> None:
    quantity: Counter[str] = Counter()
    revenue: Counter[str] = Counter()
    with Session(engine) as session:
        for order in session.scalars(select(Order)).all():
            ordered_at = datetime.fromisoformat(order.ordered_at).astimezone(timezone.utc)
            if f"{ordered_at:%Y-%m}" == report.month:
                quantity[order.sku] += order.quantity
                revenue[order.sku] += order.quantity * order.price_cents

    report.path.parent.mkdir(exist_ok=True)
    with open(report.path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "quantity", "revenue_cents"])
        for sku in sorted(quantity):
            text = "'" + sku if sku.startswith(("=", "+", "-", "@")) else sku
            writer.writerow([text, quantity[sku], revenue[sku]])


def make_report(report: Report) -> None:
    """Write the CSV of one month."""
    report.status = "running"
    try:
        write_csv(report)
    except Exception:
        log.exception("report %s failed", report.report_id)
        report.finished_at = datetime.now(timezone.utc)
        report.status = "failed"
    else:
        report.finished_at = datetime.now(timezone.utc)
        report.status = "done"


def find(report_id: str) -> Report:
    if report_id not in reports:
        raise HTTPException(404, "Report not found")
    return reports[report_id]


@app.post("/reports", status_code=202)
async def request_report(request: ReportRequest) -> JSONResponse:
    report = Report(request.month)
    reports[report.report_id] = report
    return JSONResponse(
        {"report_id": report.report_id, "status": "queued"},
        status_code=202,
        headers={"Location": f"/reports/{report.report_id}"},
        background=BackgroundTask(make_report, report),
    )


@app.get("/reports/{report_id}")
async def read_report(report_id: str):
    report = find(report_id)
    while report.status == "running":
        await asyncio.sleep(0.05)
    return {
        "report_id": report.report_id,
        "status": report.status,
        "requested_at": report.requested_at.isoformat(),
        "finished_at": report.finished_at and report.finished_at.isoformat(),
    }


@app.get("/reports/{report_id}/file")
async def download_report(report_id: str):
    report = find(report_id)
    if report.status != "done":
        raise HTTPException(409, f"Report is {report.status}")
    return FileResponse(report.path, filename=f"sales-{report.month}.csv")

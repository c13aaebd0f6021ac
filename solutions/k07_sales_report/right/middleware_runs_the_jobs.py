"""No background task: a pure ASGI middleware awaits the jobs once the response is out."""

import csv
import logging
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

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


class JobsAfterTheAnswer:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["jobs"] = []
        await self.app(scope, receive, send)
        for job, *args in scope["jobs"]:
            await run_in_threadpool(job, *args)


app = FastAPI()
app.add_middleware(JobsAfterTheAnswer)
log = logging.getLogger("kata")
reports: dict[str, dict[str, str | None]] = {}


def now() -> str:
    return datetime.now(timezone.utc).isoformat()


def path_of(report_id: str) -> Path:
    return Path("reports", report_id, "sales.csv")


def write_csv(path: Path, month: str) -> None:
    quantity: Counter[str] = Counter()
    revenue: Counter[str] = Counter()
    with Session(engine) as session:
        for order in session.scalars(select(Order)).all():
            ordered_at = datetime.fromisoformat(order.ordered_at).astimezone(timezone.utc)
            if ordered_at.isoformat().startswith(month):
                quantity.update({order.sku: order.quantity})
                revenue.update({order.sku: order.quantity * order.price_cents})

    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "quantity", "revenue_cents"])
        for sku in sorted(quantity):
            text = f"'{sku}" if sku.startswith(("=", "+", "-", "@")) else sku
            writer.writerow([text, quantity[sku], revenue[sku]])


def make_report(report_id: str, month: str) -> None:
    """Write the CSV of one month."""
    report = reports[report_id]
    report["status"] = "running"
    try:
        write_csv(path_of(report_id), month)
    except Exception:
        log.exception("report %s failed", report_id)
        report.update(status="failed", finished_at=now())
    else:
        report.update(status="done", finished_at=now())


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest, response: Response, http_request: Request):
    report_id = str(uuid4())
    reports[report_id] = {"status": "queued", "requested_at": now(), "finished_at": None}
    http_request.scope["jobs"].append((make_report, report_id, request.month))
    response.headers["Location"] = f"/reports/{report_id}"
    return {"report_id": report_id, "status": "queued"}


@app.get("/reports/{report_id}")
def read_report(report_id: str):
    if report_id not in reports:
        raise HTTPException(404, "No such report")
    return {"report_id": report_id, **reports[report_id]}


@app.get("/reports/{report_id}/file")
def download_report(report_id: str):
    if report_id not in reports:
        raise HTTPException(404, "No such report")
    if reports[report_id]["status"] != "done":
        raise HTTPException(409, "The report is not done")
    return FileResponse(path_of(report_id), media_type="text/csv", filename="sales.csv")

"""A month is the time from its first moment to the first one of the next, which is not of it."""

import csv
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

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
reports: dict[str, dict[str, str | None]] = {}


def now() -> str:
    return datetime.now(timezone.utc).isoformat()


def path_of(report_id: str) -> Path:
    return Path("reports", f"{report_id}.csv")


def moments(month: str) -> tuple[datetime, datetime]:
    begin = datetime.fromisoformat(f"{month}-01T00:00:00+00:00")
    return begin, (begin + timedelta(days=31)).replace(day=1)


def safe(sku: str) -> str:
    return f"'{sku}" if sku.startswith(("=", "+", "-", "@")) else sku


def write_csv(path: Path, month: str) -> None:
    quantity: dict[str, int] = defaultdict(int)
    revenue: dict[str, int] = defaultdict(int)
    begin, end = moments(month)
    with Session(engine) as session:
        for order in session.scalars(select(Order)):
            if begin <= datetime.fromisoformat(order.ordered_at) < end:
                quantity[order.sku] += order.quantity
                revenue[order.sku] += order.quantity * order.price_cents

    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "quantity", "revenue_cents"])
        writer.writerows([safe(sku), quantity[sku], revenue[sku]] for sku in sorted(quantity))


def make_report(report_id: str, month: str) -> None:
    """Write the CSV of one month."""
    report = reports[report_id]
    report["status"] = "running"
    try:
        write_csv(path_of(report_id), month)
    except Exception:
        report.update(status="failed", finished_at=now())
        raise
    report.update(status="done", finished_at=now())


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest, response: Response, tasks: BackgroundTasks):
    report_id = str(uuid4())
    reports[report_id] = {"status": "queued", "requested_at": now(), "finished_at": None}
    tasks.add_task(make_report, report_id, request.month)
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
    return FileResponse(path_of(report_id), media_type="text/csv", filename=f"{report_id}.csv")

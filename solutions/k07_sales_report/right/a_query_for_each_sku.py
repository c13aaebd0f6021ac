"""One query finds the skus of the month, and each sku has one of its own, in one transaction."""

import csv
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, create_engine, func, select
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


def of_month(month: str) -> ColumnElement[bool]:
    return func.strftime("%Y-%m", Order.ordered_at) == month  # SQLite counts in UTC


def safe(sku: str) -> str:
    return f"'{sku}" if sku.startswith(("=", "+", "-", "@")) else sku


def write_csv(path: Path, month: str) -> None:
    skus = select(Order.sku).where(of_month(month)).distinct().order_by(Order.sku)
    sums = select(func.sum(Order.quantity), func.sum(Order.quantity * Order.price_cents))
    path.parent.mkdir(exist_ok=True)
    with Session(engine) as session, path.open("w", encoding="utf-8", newline="") as file:
        session.connection().exec_driver_sql("BEGIN")
        writer = csv.writer(file)
        writer.writerow(["sku", "quantity", "revenue_cents"])
        for sku in session.scalars(skus).all():
            found = session.execute(sums.where(of_month(month), Order.sku == sku)).one()
            writer.writerow([safe(sku), *found])


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

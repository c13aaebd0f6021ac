"""One report is made at a time; the others stay `queued` while they wait for their turn."""

import csv
import logging
import re
import threading
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel
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
    month: str


app = FastAPI()


REPORTS = Path("reports")
REPORTS.mkdir(exist_ok=True)
lock = threading.Lock()
reports: dict[str, dict] = {}


def now():
    return datetime.now(timezone.utc).isoformat()


def change(report_id, **values):
    with lock:
        reports[report_id].update(values)


turn = threading.Lock()


def make_report(report_id: str, month: str) -> None:
    with turn:
        make(report_id, month)


def make(report_id, month):
    change(report_id, status="running")
    tmp = REPORTS / f".{report_id}.tmp"
    try:
        sums: dict[str, list[int]] = {}
        with Session(engine) as session:
            for order in session.scalars(select(Order)):
                when = datetime.fromisoformat(order.ordered_at).astimezone(timezone.utc)
                if when.strftime("%Y-%m") == month:
                    entry = sums.setdefault(order.sku, [0, 0])
                    entry[0] += order.quantity
                    entry[1] += order.quantity * order.price_cents
        with tmp.open("w", newline="", encoding="utf-8") as f:
            w = csv.writer(f)
            w.writerow(["sku", "quantity", "revenue_cents"])
            for sku in sorted(sums):
                w.writerow(["'" + sku if sku[:1] in ("=", "+", "-", "@") else sku, *sums[sku]])
        tmp.rename(REPORTS / f"{report_id}.csv")
    except Exception:
        logging.getLogger("kata").exception("report %s failed", report_id)
        tmp.unlink(missing_ok=True)
        change(report_id, status="failed", finished_at=now())
    else:
        change(report_id, status="done", finished_at=now())


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest):
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", request.month):
        raise HTTPException(422, "month must be YYYY-MM")
    report_id = uuid4().hex
    with lock:
        reports[report_id] = {
            "report_id": report_id,
            "status": "queued",
            "requested_at": now(),
            "finished_at": None,
        }
    return JSONResponse(
        {"report_id": report_id, "status": "queued"},
        status_code=202,
        headers={"Location": f"/reports/{report_id}"},
        background=BackgroundTask(make_report, report_id, request.month),
    )


def find(report_id):
    with lock:
        if report_id not in reports:
            raise HTTPException(404, "unknown report")
        return dict(reports[report_id])


@app.get("/reports/{report_id}")
def read_report(report_id: str):
    return find(report_id)


@app.get("/reports/{report_id}/file")
def download_report(report_id: str):
    if find(report_id)["status"] != "done":
        raise HTTPException(409, "not ready")
    return FileResponse(
        REPORTS / f"{report_id}.csv", media_type="text/csv", filename=f"report-{report_id}.csv"
    )

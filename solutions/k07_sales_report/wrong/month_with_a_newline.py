r"""`re.match` with `$` lets a newline at the end through.

breaks: `month` that is not exactly `YYYY-MM` with a month from 01 to 12: 422.
caught by: test_a_month_that_is_not_yyyy_mm_is_refused
says: the statuses of what is not YYYY-MM, and must be a 422
"""

import csv
import itertools
import os
import re
import tempfile
from datetime import datetime, timezone
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response
from fastapi.responses import FileResponse
from pydantic import AfterValidator, BaseModel
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


def real_month(text: str) -> str:
    if not re.match("[0-9]{4}-(0[1-9]|1[0-2])$", text):
        raise ValueError("month must look like 2026-01")
    return text


class ReportRequest(BaseModel):
    month: Annotated[str, AfterValidator(real_month)]


app = FastAPI()
folder = Path("reports")
numbers = itertools.count(1)
reports: dict[str, dict] = {}


def utc_month(order: Order) -> str:
    return datetime.fromisoformat(order.ordered_at).astimezone(timezone.utc).isoformat()[:7]


def rows(month: str):
    with Session(engine) as session:
        orders = session.scalars(select(Order).order_by(Order.sku)).all()
    chosen = (order for order in orders if utc_month(order) == month)
    for sku, group in groupby(chosen, attrgetter("sku")):
        sold = list(group)
        yield (
            f"'{sku}" if sku.startswith(("=", "+", "-", "@")) else sku,
            sum(order.quantity for order in sold),
            sum(order.quantity * order.price_cents for order in sold),
        )


def make_report(report_id: str, month: str) -> None:
    """Write the CSV of one month."""
    reports[report_id] |= {"status": "running"}
    status = "failed"
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as workshop:
            draft = Path(workshop, "draft.csv")
            with draft.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("sku", "quantity", "revenue_cents"))
                writer.writerows(rows(month))
            os.replace(draft, folder / f"{report_id}.csv")
        status = "done"
    finally:
        finished_at = datetime.now(timezone.utc).isoformat()
        reports[report_id] |= {"status": status, "finished_at": finished_at}


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest, response: Response, tasks: BackgroundTasks):
    report_id = str(next(numbers))
    reports[report_id] = {
        "report_id": report_id,
        "status": "queued",
        "requested_at": datetime.now(timezone.utc).isoformat(),
        "finished_at": None,
    }
    tasks.add_task(make_report, report_id, request.month)
    response.headers["location"] = app.url_path_for("read_report", report_id=report_id)
    return {"report_id": report_id, "status": "queued"}


@app.get("/reports/{report_id}")
def read_report(report_id: str):
    try:
        return reports[report_id].copy()
    except KeyError:
        raise HTTPException(404, "No such report") from None


@app.get("/reports/{report_id}/file")
def download_report(report_id: str):
    if read_report(report_id)["status"] != "done":
        raise HTTPException(409, "The report is not done")
    path = folder / f"{report_id}.csv"
    return FileResponse(path, media_type="text/csv", filename=path.name)

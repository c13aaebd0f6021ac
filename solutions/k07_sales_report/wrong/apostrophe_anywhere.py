r"""A sign anywhere in the sku brings the apostrophe, so `tea-green` gets one too.

breaks: A sku that begins with `=`, `+`, `-` or `@` is written with a leading apostrophe.
caught by: test_a_sku_that_begins_like_a_formula_gets_an_apostrophe
says: a leading apostrophe where the sku begins with = \+ - or @, sorted as
"""

import csv
import logging
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
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
log = logging.getLogger("kata")
queued: dict[str, str] = {}
started: set[str] = set()
finished: dict[str, tuple[str, str]] = {}


def now() -> str:
    return datetime.now(timezone.utc).isoformat()


def read_orders(month: str) -> list[Order]:
    with Session(engine) as session:
        orders = session.scalars(select(Order)).all()
    return [
        order
        for order in orders
        if datetime.fromisoformat(order.ordered_at).astimezone(timezone.utc).isoformat()[:7]
        == month
    ]


def write_csv(report_id: str, orders: list[Order]) -> None:
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for order in orders:
        totals[order.sku][0] += order.quantity
        totals[order.sku][1] += order.quantity * order.price_cents
    with Path(f"{report_id}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "quantity", "revenue_cents"])
        for sku in sorted(totals):
            writer.writerow(
                [f"'{sku}" if any(sign in sku for sign in "=+-@") else sku, *totals[sku]]
            )


def make_report(report_id: str, month: str) -> None:
    """Write the CSV of one month."""
    started.add(report_id)
    with ThreadPoolExecutor(max_workers=1) as pool:
        orders = pool.submit(read_orders, month)
        written = pool.submit(lambda: write_csv(report_id, orders.result()))
    if error := written.exception():
        log.error("report %s failed", report_id, exc_info=error)
    finished[report_id] = ("failed" if error else "done", now())


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest, response: Response, tasks: BackgroundTasks):
    report_id = uuid4().hex
    queued[report_id] = now()
    tasks.add_task(make_report, report_id, request.month)
    response.headers["Location"] = f"/reports/{report_id}"
    return {"report_id": report_id, "status": "queued"}


@app.get("/reports/{report_id}")
def read_report(report_id: str):
    if report_id not in queued:
        raise HTTPException(404, "No such report")
    status, finished_at = finished.get(report_id, (None, None))
    return {
        "report_id": report_id,
        "status": status or ("running" if report_id in started else "queued"),
        "requested_at": queued[report_id],
        "finished_at": finished_at,
    }


@app.get("/reports/{report_id}/file")
def download_report(report_id: str):
    if report_id not in queued:
        raise HTTPException(404, "No such report")
    if finished.get(report_id, ("", ""))[0] != "done":
        raise HTTPException(409, "The report is not done")
    path = f"{report_id}.csv"
    return FileResponse(path, media_type="text/csv", filename=path)

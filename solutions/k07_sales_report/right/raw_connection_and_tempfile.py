"""All SQL goes through `raw_connection()`, and the file through `tempfile`."""

import csv
import logging
import os
import re
import tempfile
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

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
FOLDER = Path("reports")
reports: dict[str, dict[str, str | None]] = {}


def utc_month(value: str) -> str:
    return datetime.fromisoformat(value).astimezone(timezone.utc).isoformat()[:7]


def lines(month: str):
    with closing(engine.raw_connection()) as connection:
        connection.driver_connection.create_function("utc_month", 1, utc_month)
        cursor = connection.cursor()
        cursor.execute("DROP TABLE IF EXISTS temp.sales")
        cursor.execute(
            "CREATE TEMP TABLE sales (sku TEXT, quantity INTEGER, revenue_cents INTEGER)"
        )
        cursor.execute(
            """
            INSERT INTO temp.sales
            SELECT sku, SUM(quantity), SUM(quantity * price_cents) -- not the last price
            FROM orders
            WHERE utc_month(ordered_at) = ?
            GROUP BY sku
            """,
            (month,),
        )
        connection.commit()
        yield "sku", "quantity", "revenue_cents"
        for sku, *numbers in cursor.execute("SELECT * FROM temp.sales ORDER BY sku").fetchall():
            yield ("'" if sku.startswith(("=", "+", "-", "@")) else "") + sku, *numbers
        cursor.execute("DROP TABLE temp.sales")


def make_report(report_id: str, month: str) -> None:
    report = reports[report_id]
    report["status"] = "running"
    unfinished = None
    outcome = "failed"
    try:
        FOLDER.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=FOLDER, suffix=".tmp", newline="", encoding="utf-8", delete=False
        ) as file:
            unfinished = file.name
            csv.writer(file).writerows(lines(month))
        os.replace(unfinished, FOLDER / f"{report_id}.csv")
        outcome = "done"
    except Exception:
        logging.getLogger("kata").exception("report %s failed", report_id)
        if unfinished and os.path.exists(unfinished):
            os.unlink(unfinished)
    finally:
        report["finished_at"] = datetime.now(timezone.utc).isoformat()
        report["status"] = outcome


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest, response: Response, tasks: BackgroundTasks):
    if not (
        re.fullmatch("[0-9][0-9][0-9][0-9]-[0-9][0-9]", request.month)
        and "01" <= request.month[5:] <= "12"
    ):
        raise HTTPException(422, "month must be YYYY-MM")
    report_id = uuid4().hex
    reports[report_id] = {
        "report_id": report_id,
        "status": "queued",
        "requested_at": datetime.now(timezone.utc).isoformat(),
        "finished_at": None,
    }
    tasks.add_task(make_report, report_id, request.month)
    response.headers["Location"] = f"/reports/{report_id}"
    return {"report_id": report_id, "status": "queued"}


def known(report_id: str) -> dict:
    if report_id not in reports:
        raise HTTPException(404, "unknown report")
    return dict(reports[report_id])


@app.get("/reports/{report_id}")
def read_report(report_id: str):
    return known(report_id)


@app.get("/reports/{report_id}/file")
def download_report(report_id: str):
    if known(report_id)["status"] != "done":
        raise HTTPException(409, "not done yet")
    return FileResponse(
        FOLDER / f"{report_id}.csv",
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="report.csv"'},
    )

"""WAL, a view that calls a function of Python, and a streamed response that is quoted by hand."""

import logging
import re
from datetime import datetime, timezone
from typing import Annotated
from uuid import uuid4

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel
from sqlalchemy import create_engine, event, text
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


class Report(Base):
    __tablename__ = "reports"

    report_id: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[str]
    status: Mapped[str] = mapped_column(default="queued")
    requested_at: Mapped[str]
    finished_at: Mapped[str | None]
    csv: Mapped[str | None]


def utc_month(value: str) -> str:
    return datetime.fromisoformat(value).astimezone(timezone.utc).isoformat()[:7]


@event.listens_for(engine, "connect")
def set_up(connection, record):
    connection.execute("PRAGMA journal_mode=WAL")
    connection.create_function("utc_month", 1, utc_month, deterministic=True)


Base.metadata.create_all(engine)
with engine.begin() as connection:
    connection.exec_driver_sql(
        """
        CREATE VIEW IF NOT EXISTS monthly AS
        SELECT utc_month(ordered_at) AS month, sku, quantity, quantity * price_cents AS revenue_cents
        FROM orders
        """
    )

SALES = """
WITH sales AS (
    SELECT sku, sum(quantity) AS quantity, sum(revenue_cents) AS revenue_cents
    FROM monthly WHERE month = :month GROUP BY sku
)
SELECT CASE WHEN substr(sku, 1, 1) IN ('=', '+', '-', '@') THEN '''' ELSE '' END || sku AS shown, quantity, revenue_cents
FROM sales
ORDER BY sku -- the raw one
"""


def exact_month(value: str) -> str:
    if not re.fullmatch("[0-9]{4}-(0[1-9]|1[012])", value):
        raise ValueError("must be YYYY-MM")
    return value


class ReportRequest(BaseModel):
    month: Annotated[str, AfterValidator(exact_month)]


app = FastAPI()


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def make_report(report_id: str) -> None:
    with Session(engine) as session:
        report = session.get_one(Report, report_id)
        report.status = "running"
        month = report.month
        session.commit()
    try:
        with engine.connect() as connection:
            rows = connection.execute(text(SALES), {"month": month}).all()
        lines = ["sku,quantity,revenue_cents"]
        lines += [
            ",".join((quoted(sku), str(quantity), str(revenue))) for sku, quantity, revenue in rows
        ]
        changes = {"status": "done", "csv": "\r\n".join(lines) + "\r\n"}
    except Exception:
        logging.getLogger("kata").exception("report %s failed", report_id)
        changes = {"status": "failed"}
    with Session(engine) as session, session.begin():
        report = session.get_one(Report, report_id)
        for name, value in changes.items():
            setattr(report, name, value)
        report.finished_at = datetime.now(timezone.utc).isoformat()


def get_report(report_id: str) -> Report:
    with Session(engine, expire_on_commit=False) as session:
        report = session.get(Report, report_id)
    if report is None:
        raise HTTPException(404, "unknown report")
    return report


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest, response: Response, tasks: BackgroundTasks):
    report_id = str(uuid4())
    with Session(engine) as session:
        session.add(
            Report(
                report_id=report_id,
                month=request.month,
                requested_at=datetime.now(timezone.utc).isoformat(),
            )
        )
        session.commit()
    tasks.add_task(make_report, report_id)
    response.headers["Location"] = f"/reports/{report_id}"
    return {"report_id": report_id, "status": "queued"}


@app.get("/reports/{report_id}")
def read_report(report: Annotated[Report, Depends(get_report)]):
    return {
        "report_id": report.report_id,
        "status": report.status,
        "requested_at": report.requested_at,
        "finished_at": report.finished_at,
    }


@app.get("/reports/{report_id}/file")
def download_report(report: Annotated[Report, Depends(get_report)]):
    if report.status != "done":
        raise HTTPException(409, "not done")
    pieces = (line.encode("utf-8") for line in report.csv.splitlines(keepends=True))
    return StreamingResponse(
        pieces,
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{report.month}.csv"'},
    )

"""`done` is committed before the text of the report is.

breaks: A half-written file is never served.
caught by: test_a_report_is_done_when_its_file_is_whole_and_not_before
says: the report says `done` just before a statement or a commit, and its file is not whole yet
"""

import csv
import io
from collections import defaultdict
from datetime import datetime, timezone
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response
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


class Report(Base):
    __tablename__ = "reports"

    report_id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    requested_at: Mapped[str]
    finished_at: Mapped[str | None]
    text: Mapped[str | None]


Base.metadata.create_all(engine)


class ReportRequest(BaseModel):
    month: str = Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")


app = FastAPI()


def now() -> str:
    return datetime.now(timezone.utc).isoformat()


def change(report_id: str, **values: str) -> None:
    with Session(engine) as session:
        report = session.get_one(Report, report_id)
        for name, value in values.items():
            setattr(report, name, value)
        session.commit()


def csv_text(month: str) -> str:
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    with Session(engine) as session:
        for order in session.scalars(select(Order)).all():
            ordered_at = datetime.fromisoformat(order.ordered_at).astimezone(timezone.utc)
            if ordered_at.isoformat()[:7] == month:
                totals[order.sku][0] += order.quantity
                totals[order.sku][1] += order.quantity * order.price_cents

    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(["sku", "quantity", "revenue_cents"])
    for sku, (quantity, revenue) in sorted(totals.items()):
        writer.writerow([f"'{sku}" if sku[:1] in {"=", "+", "-", "@"} else sku, quantity, revenue])
    return buffer.getvalue()


def make_report(report_id: str, month: str) -> None:
    """Write the CSV of one month."""
    change(report_id, status="running")
    try:
        text = csv_text(month)
    except Exception:
        change(report_id, status="failed", finished_at=now())
        raise
    change(report_id, status="done", finished_at=now())
    change(report_id, text=text)


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest, response: Response, tasks: BackgroundTasks):
    report_id = str(uuid4())
    with Session(engine) as session:
        session.add(Report(report_id=report_id, status="queued", requested_at=now()))
        session.commit()
    tasks.add_task(make_report, report_id, request.month)
    response.headers["Location"] = f"/reports/{report_id}"
    return {"report_id": report_id, "status": "queued"}


def find(report_id: str) -> Report:
    with Session(engine) as session:
        report = session.get(Report, report_id)
    if report is None:
        raise HTTPException(404, "No such report")
    return report


@app.get("/reports/{report_id}")
def read_report(report_id: str):
    report = find(report_id)
    return {
        "report_id": report.report_id,
        "status": report.status,
        "requested_at": report.requested_at,
        "finished_at": report.finished_at,
    }


@app.get("/reports/{report_id}/file")
def download_report(report_id: str):
    report = find(report_id)
    if report.status != "done":
        raise HTTPException(409, "The report is not done")
    attachment = f'attachment; filename="{report_id}.csv"'
    return Response(
        report.text or "", media_type="text/csv", headers={"Content-Disposition": attachment}
    )

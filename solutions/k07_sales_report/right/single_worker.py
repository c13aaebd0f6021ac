"""A single worker thread of the lifespan makes the reports, one after the other."""

import csv
import io
import logging
import queue
import re
import threading
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response
from pydantic import BaseModel
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
jobs: queue.SimpleQueue = queue.SimpleQueue()


class ReportRequest(BaseModel):
    month: str


class Report:
    def __init__(self, month: str) -> None:
        self.month = month
        self.id = uuid4().hex
        self.lock = threading.Lock()
        self.status = "queued"
        self.requested_at = datetime.now(timezone.utc)
        self.finished_at: datetime | None = None
        self.content: bytes | None = None
        self.ended = threading.Event()

    def end(self, status: str, content: bytes | None = None) -> None:
        with self.lock:
            self.content = content
            self.finished_at = datetime.now(timezone.utc)
            self.status = status

    def make(self) -> None:
        with self.lock:
            self.status = "running"
        try:
            self.end("done", self.render())
        except Exception:
            logging.getLogger("kata").exception("report %s failed", self.id)
            self.end("failed")
        finally:
            self.ended.set()

    def render(self) -> bytes:
        first = datetime.fromisoformat
        sums: dict[str, tuple[int, int]] = {}
        with Session(engine) as session:
            orders = session.scalars(select(Order).order_by(Order.id)).all()
        for order in orders:
            moment = first(order.ordered_at).astimezone(timezone.utc)
            if moment.strftime("%m") == self.month[5:] and moment.year == int(self.month[:4]):
                quantity, revenue = sums.get(order.sku, (0, 0))
                sums[order.sku] = (
                    quantity + order.quantity,
                    revenue + order.quantity * order.price_cents,
                )
        buffer = io.BytesIO()
        with io.TextIOWrapper(buffer, encoding="utf-8", newline="") as text:
            writer = csv.writer(text)
            writer.writerow(["sku", "quantity", "revenue_cents"])
            for sku, (quantity, revenue) in sorted(sums.items()):
                if sku and sku[0] in ("=", "+", "-", "@"):
                    sku = "'" + sku
                writer.writerow([sku, quantity, revenue])
            text.flush()
            return buffer.getvalue()

    def shown(self) -> dict:
        with self.lock:
            return {
                "report_id": self.id,
                "status": self.status,
                "requested_at": self.requested_at.isoformat(),
                "finished_at": self.finished_at.isoformat() if self.finished_at else None,
            }


def work() -> None:
    while (report := jobs.get()) is not None:
        report.make()


@asynccontextmanager
async def lifespan(app: FastAPI):
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    yield
    jobs.put(None)
    worker.join()


app = FastAPI(lifespan=lifespan)
reports: dict[str, Report] = {}


def make_report(report: Report) -> None:
    jobs.put(report)
    report.ended.wait()


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest, response: Response, tasks: BackgroundTasks):
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", request.month, re.ASCII):
        raise HTTPException(422, "month must be YYYY-MM")
    report = Report(request.month)
    reports[report.id] = report
    tasks.add_task(make_report, report)
    response.headers["Location"] = f"/reports/{report.id}"
    return {"report_id": report.id, "status": "queued"}


@app.get("/reports/{report_id}")
def read_report(report_id: str):
    if report_id not in reports:
        raise HTTPException(404, "unknown report")
    return reports[report_id].shown()


@app.get("/reports/{report_id}/file")
def download_report(report_id: str):
    report = reports.get(report_id)
    if report is None:
        raise HTTPException(404, "unknown report")
    if report.shown()["status"] != "done":
        raise HTTPException(409, "not done")
    return Response(
        report.content,
        media_type="text/csv",
        headers={"Content-Disposition": "attachment"},
    )

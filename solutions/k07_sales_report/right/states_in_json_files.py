"""The pool of the lifespan makes the reports, and their states are JSON files renamed into place."""

import asyncio
import csv
import json
import logging
import os
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path
from uuid import UUID, uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response
from fastapi.responses import FileResponse
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


class ReportRequest(BaseModel):
    month: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.pool = ThreadPoolExecutor(max_workers=8)
    try:
        yield
    finally:
        app.state.pool.shutdown(wait=True)


app = FastAPI(lifespan=lifespan)
FOLDER = Path("reports")


def timestamp() -> str:
    return datetime.now(timezone.utc).isoformat()


def replace_file(path: Path, write) -> None:
    unfinished = path.with_name(f"{path.name}.{uuid4().hex}")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            write(file)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def save(state: dict) -> None:
    FOLDER.mkdir(exist_ok=True)
    replace_file(FOLDER / f"{state['report_id']}.json", lambda file: json.dump(state, file))


def load(report_id: str) -> dict:
    try:
        name = UUID(report_id).hex
        return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    except (ValueError, FileNotFoundError):
        raise HTTPException(404, "unknown report") from None


def make_report(report_id: str, month: str) -> None:
    state = load(report_id)
    save(state | {"status": "running"})
    try:
        totals: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        with Session(engine) as session:
            orders = session.execute(
                select(Order.sku, Order.quantity, Order.price_cents, Order.ordered_at)
            ).all()
        for sku, quantity, price, ordered_at in orders:
            moment = datetime.fromisoformat(ordered_at).astimezone(timezone.utc)
            if moment.isoformat()[: len("2026-01")] == month:
                totals[sku][0] += quantity
                totals[sku][1] += quantity * price

        def write(file) -> None:
            writer = csv.writer(file, dialect="unix")
            writer.writerow("sku quantity revenue_cents".split())
            for sku, (quantity, revenue) in sorted(totals.items(), key=lambda item: item[0]):
                writer.writerow((f"'{sku}" if re.match("[-+=@]", sku) else sku, quantity, revenue))

        replace_file(FOLDER / f"{report_id}.csv", write)
        save(state | {"status": "done", "finished_at": timestamp()})
    except Exception as error:
        logging.getLogger("kata").error("report %s: %r", report_id, error)
        save(state | {"status": "failed", "finished_at": timestamp()})


async def in_pool(*arguments) -> None:
    await asyncio.wrap_future(app.state.pool.submit(make_report, *arguments))


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest, response: Response, tasks: BackgroundTasks):
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", request.month):
        raise HTTPException(422, "month must be YYYY-MM")
    report_id = uuid4().hex
    save(
        {
            "report_id": report_id,
            "status": "queued",
            "requested_at": timestamp(),
            "finished_at": None,
        }
    )
    tasks.add_task(in_pool, report_id, request.month)
    response.headers["Location"] = f"/reports/{report_id}"
    return {"report_id": report_id, "status": "queued"}


@app.get("/reports/{report_id}")
def read_report(report_id: str):
    return load(report_id)


@app.get("/reports/{report_id}/file")
def download_report(report_id: str):
    if load(report_id)["status"] != "done":
        raise HTTPException(409, "not done")
    return FileResponse(
        FOLDER / f"{report_id}.csv", media_type="text/csv", filename=f"{report_id}.csv"
    )

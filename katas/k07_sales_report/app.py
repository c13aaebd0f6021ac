"""k07: a long job the client can follow. The contract is in README.md beside this file."""

import csv
import os
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

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


app = FastAPI()


def make_report(report_id: str, month: str) -> None:
    """Write the CSV of one month."""
    raise NotImplementedError


@app.post("/reports", status_code=202)
def request_report(request: ReportRequest, response: Response):
    raise NotImplementedError


@app.get("/reports/{report_id}")
def read_report(report_id: str):
    raise NotImplementedError


@app.get("/reports/{report_id}/file")
def download_report(report_id: str):
    raise NotImplementedError

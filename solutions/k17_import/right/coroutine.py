"""A coroutine keeps the state on the event loop, where nothing else changes it meanwhile; threads do the work."""

import asyncio
import csv
import io
import logging
import re
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, HTTPException, UploadFile
from fastapi.responses import JSONResponse
from sqlalchemy import create_engine
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.background import BackgroundTask

BATCH = 10

log = logging.getLogger("kata")
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Stock(Base):
    __tablename__ = "inventory"

    sku: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[int]


Base.metadata.create_all(engine)

app = FastAPI()


class BadFileError(Exception):
    """A file that cannot be imported, or not further; the message says why."""


def read_rows(content: bytes) -> list[list[str]]:
    """The rows behind the header. Raises `BadFileError`."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFileError(f"the file is not UTF-8: {error}") from None
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if not rows or rows[0] != ["sku", "quantity"]:
        raise BadFileError("the first line is not the header sku,quantity")
    return rows[1:]


def check(row: list[str], line: int) -> dict[str, str | int]:
    """What is to be stored of a row. Raises `BadFileError`."""
    if len(row) != 2 or not row[0]:
        raise BadFileError(f"line {line}: a sku and a quantity are wanted")
    if not re.fullmatch("[0-9]+", row[1]):
        raise BadFileError(f"line {line}: {row[1]!r} is no whole number of 0 or more")
    return {"sku": row[0], "quantity": int(row[1])}


def store(batch: list[dict[str, str | int]]) -> None:
    """Commit one batch; a sku that is there is replaced."""
    statement = upsert(Stock)
    statement = statement.on_conflict_do_update(
        index_elements=["sku"], set_={"quantity": statement.excluded.quantity}
    )
    with Session(engine) as session:
        session.execute(statement, batch)
        session.commit()


ENDED = {"done", "failed", "cancelled"}
imports: dict[str, dict[str, Any]] = {}


async def run_import(state: dict[str, Any], content: bytes) -> None:
    last, error = "done", None
    try:
        rows = await asyncio.to_thread(read_rows, content)
        state["total"] = len(rows)
        if state["status"] == "queued":
            state["status"] = "running"
        for start in range(0, len(rows), BATCH):
            if state["status"] == "cancelling":
                break
            batch = [check(row, n) for n, row in enumerate(rows[start : start + BATCH], start + 2)]
            await asyncio.to_thread(store, batch)
            state["done"] += len(batch)
    except Exception as failure:
        log.error("import %s failed", state["import_id"], exc_info=failure)
        last, error = "failed", str(failure) or repr(failure)
    finally:
        cancelled = state["status"] == "cancelling" and last == "done"
        state.update(status="cancelled" if cancelled else last, error=error)


@app.post("/imports")
async def create_import(file: UploadFile) -> JSONResponse:
    import_id = str(uuid4())
    state = {
        "import_id": import_id,
        "status": "queued",
        "done": 0,
        "total": None,
        "error": None,
    }
    imports[import_id] = state
    task = BackgroundTask(run_import, state, await file.read())
    headers = {"Location": f"/imports/{import_id}"}
    return JSONResponse(state, 202, headers, background=task)


@app.get("/imports/{id}")
async def read_import(id: str) -> dict[str, Any]:
    if id not in imports:
        raise HTTPException(404)
    return imports[id]


@app.delete("/imports/{id}", status_code=202)
async def cancel_import(id: str) -> dict[str, Any]:
    state = await read_import(id)
    if state["status"] in ENDED:
        raise HTTPException(409, "it has ended")
    state["status"] = "cancelling"
    return state

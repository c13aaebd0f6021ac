"""A `yield` dependency makes the file before the response and removes it after; the generator notes the download
when its last piece has been handed over."""

import csv
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from uuid import uuid4

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse

CHUNK = 64 * 1024
HEADERS = {"Content-Disposition": 'attachment; filename="report.csv"'}

log = logging.getLogger("kata")
app = FastAPI()

os.makedirs("reports", exist_ok=True)


def write_report(path: str) -> None:
    """Write a CSV of about 200 kB to `path`; this takes a while, and may raise."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sale", "sku", "quantity", "price_cents"])
        rows.writerows([n, f"tea-{n % 50}", n % 7 + 1, 250 + n % 90] for n in range(12_000))


def remove(path: str) -> None:
    """Remove a file that may not be there."""
    Path(path).unlink(missing_ok=True)


def note(sent: int) -> None:
    """Note a download that is complete."""
    with open("downloads.log", "a", encoding="utf-8") as file:
        file.write(f"{sent}\n")


def make_report() -> str:
    """Write a report of its own for a download, and give its path. Raises `HTTPException`."""
    path = f"reports/{uuid4()}.csv"
    try:
        write_report(path)
    except Exception as error:
        log.exception("the report could not be written")
        remove(path)
        raise HTTPException(500, "the report could not be written") from error
    return path


def report_file() -> Iterator[str]:
    path = make_report()
    try:
        yield path
    finally:
        remove(path)


def pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            yield piece
        sent = file.tell()
    note(sent)


@app.get("/report")
def report(path: Annotated[str, Depends(report_file)]) -> StreamingResponse:
    return StreamingResponse(pieces(path), media_type="text/csv", headers=HEADERS)

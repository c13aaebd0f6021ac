"""The file is read and removed before the response begins, which is then sent from memory."""

import csv
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.background import BackgroundTask

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


@app.get("/report")
def report() -> Response:
    try:
        with tempfile.TemporaryDirectory(dir="reports") as folder:
            write_report(os.path.join(folder, "report.csv"))
            content = Path(folder, "report.csv").read_bytes()
    except Exception:
        log.exception("the report could not be written")
        return JSONResponse({"detail": "the report could not be written"}, 500)
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for start in range(0, len(content), CHUNK):
            yield content[start : start + CHUNK]
            sent += len(content[start : start + CHUNK])

    def note_if_complete() -> None:
        if sent == len(content):
            note(sent)

    return StreamingResponse(
        pieces(),
        media_type="text/csv",
        headers=HEADERS,
        background=BackgroundTask(note_if_complete),
    )

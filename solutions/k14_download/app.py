"""Right because the background task runs whatever becomes of the download, and knows whether it was complete."""

import csv
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
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


class Download:
    """A file on its way to a client."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.file = open(path, "rb")
        self.sent = 0
        self.complete = False

    def pieces(self) -> Iterator[bytes]:
        """Read the file, and count what was sent."""
        while piece := self.file.read(CHUNK):
            yield piece
            self.sent += len(piece)
        self.complete = True

    def finish(self) -> None:
        """Remove the file, and note the download unless it was broken off."""
        self.file.close()
        remove(self.path)
        if self.complete:
            note(self.sent)


@app.get("/report")
def report() -> StreamingResponse:
    download = Download(make_report())
    return StreamingResponse(
        download.pieces(),
        media_type="text/csv",
        headers=HEADERS,
        background=BackgroundTask(download.finish),
    )

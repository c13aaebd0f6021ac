"""A coroutine as endpoint; an async generator has a thread read each piece, and injected tasks tidy up."""

import asyncio
import csv
import logging
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
from fastapi import BackgroundTasks, FastAPI, HTTPException
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


@app.get("/report")
async def report(tasks: BackgroundTasks) -> StreamingResponse:
    handle, path = tempfile.mkstemp(suffix=".csv", dir="reports")
    os.close(handle)
    try:
        await asyncio.to_thread(write_report, path)
    except Exception as error:
        log.error("no report", exc_info=error)
        await asyncio.to_thread(os.unlink, path)
        raise HTTPException(500, "no report") from None
    sent: list[int] = []
    complete = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        async with await anyio.open_file(path, "rb") as file:
            while piece := await file.read(CHUNK):
                yield piece
                sent.append(len(piece))
        complete.set()

    def finish() -> None:
        os.unlink(path)
        if complete.is_set():
            note(sum(sent))

    tasks.add_task(finish)
    return StreamingResponse(pieces(), media_type="text/csv", headers=HEADERS)

"""The file is read, extended and written back; of two in flight, one loses its line.

breaks: every response counts, once
caught by: test_requests_in_flight_leave_whole_lines
says: nine requests in flight together, one held just before it wrote: each
"""

import json
import logging
import os
import time
from datetime import datetime, timezone

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from starlette.background import BackgroundTask

LOG_FILE = "access.jsonl"

logger = logging.getLogger("kata")

app = FastAPI()


@app.get("/items/{id}")
async def read_item(id: int) -> dict[str, int]:
    if not 1 <= id <= 9:
        raise HTTPException(404, "no such item")
    return {"id": id}


@app.get("/crash")
async def crash() -> None:
    raise RuntimeError("this endpoint always crashes")


def write_line(entry: dict[str, object]) -> None:
    try:
        lines = ""
        if os.path.exists(LOG_FILE):
            with open(LOG_FILE, encoding="utf-8") as file:
                lines = file.read()
        with open(LOG_FILE, "w", encoding="utf-8") as file:
            file.write(lines + json.dumps(entry) + "\n")
    except OSError:
        logger.exception("%s cannot be written", LOG_FILE)


@app.middleware("http")
async def access_log(request: Request, call_next):
    arrived = datetime.now(timezone.utc)
    started = time.perf_counter()

    def entry(status: int) -> dict[str, object]:
        return {
            "time": arrived.isoformat(),
            "method": request.method,
            "path": request.scope["path"],
            "status": status,
            "duration_ms": (time.perf_counter() - started) * 1000,
        }

    try:
        response = await call_next(request)
    except Exception:
        await run_in_threadpool(write_line, entry(500))
        raise
    response.background = BackgroundTask(write_line, entry(response.status_code))
    return response

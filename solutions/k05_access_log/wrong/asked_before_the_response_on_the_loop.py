"""Whether the log can be written is asked before the response, on the event loop.

breaks: Work that blocks never runs on the event loop inside a middleware.
caught by: test_logging_does_not_hold_up_the_event_loop[/items/3]
caught by: test_logging_does_not_hold_up_the_event_loop[/crash]
says: on the event loop's thread
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
        with open(LOG_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError:
        logger.exception("%s cannot be written", LOG_FILE)


@app.middleware("http")
async def access_log(request: Request, call_next):
    arrived = datetime.now(timezone.utc)
    started = time.perf_counter()
    writable = os.access(LOG_FILE, os.W_OK) or not os.path.exists(LOG_FILE)
    if not writable:
        logger.warning("%s cannot be written", LOG_FILE)

    def entry(status: int) -> dict[str, object]:
        return {
            "time": arrived.isoformat(),
            "method": request.method,
            "path": request.scope["path"],
            "status": status,
            "duration_ms": (time.perf_counter() - started) * 1000,
        }

    async def log(status: int) -> None:
        await run_in_threadpool(write_line, entry(status))

    try:
        response = await call_next(request)
    except Exception:
        await log(500)
        raise
    response.background = BackgroundTask(log, response.status_code)
    return response

r"""A request that was logged a moment ago is not logged again.

breaks: Every response counts, once.
caught by: test_the_same_request_counts_each_time
says: \(method, path, status\) of the lines
"""

import json
import logging
import time
from datetime import datetime, timezone

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from starlette.background import BackgroundTask

LOG_FILE = "access.jsonl"

logger = logging.getLogger("kata")

app = FastAPI()

seen: set[tuple[str, str, int]] = set()


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

    def entry(status: int) -> dict[str, object]:
        return {
            "time": arrived.isoformat(),
            "method": request.method,
            "path": request.scope["path"],
            "status": status,
            "duration_ms": (time.perf_counter() - started) * 1000,
        }

    async def log(status: int) -> None:
        if (request.method, request.scope["path"], status) in seen:
            return
        seen.add((request.method, request.scope["path"], status))
        await run_in_threadpool(write_line, entry(status))

    try:
        response = await call_next(request)
    except Exception:
        await log(500)
        raise
    response.background = BackgroundTask(log, response.status_code)
    return response

r"""Only answers below 400 get their line.

breaks: every response counts, once: the 404, the 422, the unknown path, the 500 of the crash
caught by: test_every_response_counts[404 of the endpoint]
caught by: test_every_response_counts[method DELETE]
caught by: test_every_response_counts[method PUT]
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

    try:
        response = await call_next(request)
    except Exception:
        await run_in_threadpool(write_line, entry(500))
        raise
    if response.status_code < 400:
        response.background = BackgroundTask(write_line, entry(response.status_code))
    return response

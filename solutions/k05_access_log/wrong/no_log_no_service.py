"""Whether the log can be written is asked first, and the client is sent away if it cannot.

breaks: a log file that cannot be written does not change any response
caught by: test_a_log_that_cannot_be_written_changes_no_response[no space left]
caught by: test_a_log_that_cannot_be_written_changes_no_response[not permitted]
says: the statuses
"""

import json
import logging
import time
from datetime import datetime, timezone

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
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


def can_write() -> bool:
    try:
        open(LOG_FILE, "a", encoding="utf-8").close()
    except OSError:
        return False
    return True


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

    if not await run_in_threadpool(can_write):
        return JSONResponse({"detail": "the access log is out of order"}, status_code=503)
    try:
        response = await call_next(request)
    except Exception:
        await run_in_threadpool(write_line, entry(500))
        raise
    response.background = BackgroundTask(write_line, entry(response.status_code))
    return response

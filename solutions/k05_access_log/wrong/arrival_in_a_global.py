r"""The arrival is kept in a module variable, which the next request overwrites.

breaks: time is when the request arrived, each request its own, also with several in flight
caught by: test_each_request_in_flight_has_its_own_time
says: \(path, time\) of two requests in flight together, the second 10 s
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


arrived = datetime.now(timezone.utc)


def write_line(entry: dict[str, object]) -> None:
    entry["time"] = arrived.isoformat()
    try:
        with open(LOG_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError:
        logger.exception("%s cannot be written", LOG_FILE)


@app.middleware("http")
async def access_log(request: Request, call_next):
    global arrived
    arrived = datetime.now(timezone.utc)
    started = time.perf_counter()

    def entry(status: int) -> dict[str, object]:
        return {
            "time": None,
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

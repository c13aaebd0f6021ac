"""The task gets the request's data and builds the line itself, duration and all, in its thread."""

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


def write_line(arrived: datetime, started: float, method: str, path: str, status: int) -> None:
    entry = {
        "time": arrived.isoformat(),
        "method": method,
        "path": path,
        "status": status,
        "duration_ms": round((time.perf_counter() - started) * 1000, 3),
    }
    try:
        with open(LOG_FILE, "a", encoding="utf-8") as file:
            print(json.dumps(entry, ensure_ascii=False), file=file)
    except OSError:
        logger.exception("%s cannot be written", LOG_FILE)


@app.middleware("http")
async def access_log(request: Request, call_next):
    line = (datetime.now(timezone.utc), time.perf_counter(), request.method, request.scope["path"])
    try:
        response = await call_next(request)
    except Exception:
        await run_in_threadpool(write_line, *line, 500)
        raise
    response.background = BackgroundTask(write_line, *line, response.status_code)
    return response

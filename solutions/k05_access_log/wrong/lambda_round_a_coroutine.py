"""The lambda only makes a coroutine, in a thread; nobody awaits it, so no line is written.

breaks: after each response, and not before, access.jsonl gains one line
caught by: test_the_duration_is_in_milliseconds_and_without_the_tasks
says: there must be one line
"""

import json
import logging
import time
from datetime import datetime, timezone

import anyio
from fastapi import FastAPI, HTTPException, Request
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


async def write_line(entry: dict[str, object]) -> None:
    try:
        async with await anyio.open_file(LOG_FILE, "a", encoding="utf-8") as file:
            await file.write(json.dumps(entry) + "\n")
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
        await write_line(entry(500))
        raise
    response.background = BackgroundTask(lambda: write_line(entry(response.status_code)))
    return response

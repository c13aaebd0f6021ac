"""The task hands the line to the loop's executor and ends without awaiting it.

breaks: no thread or asyncio task outlives the exchange
caught by: test_the_line_is_written_only_after_the_response
caught by: test_every_response_counts[a slash too many]
caught by: test_every_response_counts[what FastAPI answers itself]
caught by: test_the_exchange_ends_only_when_the_line_is_written[/items/3]
says: left behind by GET .* a job of an executor started at
"""

import asyncio
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


async def write_later(entry: dict[str, object]) -> None:
    asyncio.get_running_loop().run_in_executor(None, write_line, entry)


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
    response.background = BackgroundTask(write_later, entry(response.status_code))
    return response

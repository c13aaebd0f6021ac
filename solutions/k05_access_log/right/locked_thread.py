"""An async task writes in a thread, and a lock lets one line into the file at a time."""

import asyncio
import json
import logging
import threading
import time
from datetime import datetime, timezone

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


file_lock = threading.Lock()


def append(line: str) -> None:
    try:
        with file_lock, open(LOG_FILE, "a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError:
        logger.exception("%s cannot be written", LOG_FILE)


async def write_line(entry: dict[str, object]) -> None:
    await asyncio.to_thread(append, json.dumps(entry))


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
        await write_line(entry(status))

    try:
        response = await call_next(request)
    except Exception:
        await log(500)
        raise
    response.background = BackgroundTask(log, response.status_code)
    return response

"""The task is a coroutine function; anyio opens and writes the file in worker threads."""

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

    async def log(status: int) -> None:
        await write_line(entry(status))

    try:
        response = await call_next(request)
    except Exception:
        await log(500)
        raise
    response.background = BackgroundTask(log, response.status_code)
    return response

"""The line goes through a logger of its own, whose handler writes JSON."""

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


class JsonLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            with open(LOG_FILE, "a", encoding="utf-8") as file:
                file.write(json.dumps(record.__dict__["entry"]) + "\n")
        except OSError:
            self.handleError(record)


access = logging.getLogger("kata.access")
access.handlers = [JsonLines()]
access.propagate = False
access.setLevel(logging.INFO)


def write_line(entry: dict[str, object]) -> None:
    access.info("%s %s", entry["method"], entry["path"], extra={"entry": entry})


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
        await run_in_threadpool(write_line, entry(status))

    try:
        response = await call_next(request)
    except Exception:
        await log(500)
        raise
    response.background = BackgroundTask(log, response.status_code)
    return response

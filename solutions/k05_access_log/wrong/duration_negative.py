"""The two readings of the clock are subtracted the wrong way round.

breaks: duration_ms is a number, 0 or more
caught by: test_the_duration_is_in_milliseconds_and_without_the_tasks
says: duration_ms must be about 2500
"""

import json
import logging
import time
from datetime import datetime, timezone

from fastapi import FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class AccessLog:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        arrived = datetime.now(timezone.utc)
        started = time.perf_counter()
        status = 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        finally:
            entry = {
                "time": arrived.isoformat(),
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "duration_ms": (started - time.perf_counter()) * 1000,
            }
            await run_in_threadpool(write_line, entry)


app.add_middleware(AccessLog)

"""A subclass of FastAPI wraps the whole application, so a crash is logged after its 500."""

import json
import logging
import time
from datetime import datetime, timezone

from fastapi import FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Scope, Send

LOG_FILE = "access.jsonl"

logger = logging.getLogger("kata")


def write_line(entry: dict[str, object]) -> None:
    try:
        with open(LOG_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError:
        logger.exception("%s cannot be written", LOG_FILE)


class LoggedFastAPI(FastAPI):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        arrived = datetime.now(timezone.utc)
        started = time.perf_counter()
        status = 500
        ended = 0.0

        async def send_and_note(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            ended = time.perf_counter()

        try:
            await super().__call__(scope, receive, send_and_note)
        finally:
            entry = {
                "time": arrived.isoformat(),
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "duration_ms": ((ended or time.perf_counter()) - started) * 1000,
            }
            await run_in_threadpool(write_line, entry)


app = LoggedFastAPI()


@app.get("/items/{id}")
async def read_item(id: int) -> dict[str, int]:
    if not 1 <= id <= 9:
        raise HTTPException(404, "no such item")
    return {"id": id}


@app.get("/crash")
async def crash() -> None:
    raise RuntimeError("this endpoint always crashes")

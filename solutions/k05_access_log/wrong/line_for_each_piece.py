"""Each piece of the body leaves a line.

breaks: Every response counts, once.
caught by: test_a_response_in_pieces_counts_once_after_its_last_piece
says: the line was written before the last byte of the response
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

        async def write() -> None:
            entry = {
                "time": arrived.isoformat(),
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "duration_ms": (time.perf_counter() - started) * 1000,
            }
            await run_in_threadpool(write_line, entry)

        async def send_then_write(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)
            if message["type"] == "http.response.body":
                await write()

        try:
            await self.app(scope, receive, send_then_write)
        except Exception:
            await write()
            raise


app.add_middleware(AccessLog)

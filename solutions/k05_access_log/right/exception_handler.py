"""A handler for Exception answers the crash; the middleware hands a task to the other answers."""

import json
import logging
import time
from datetime import datetime, timezone

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
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


def write_line(entry: dict[str, object]) -> None:
    try:
        with open(LOG_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError:
        logger.exception("%s cannot be written", LOG_FILE)


def write_for(request: Request, status: int) -> None:
    entry = {
        "time": request.state.arrived.isoformat(),
        "method": request.method,
        "path": request.scope["path"],
        "status": status,
        "duration_ms": (time.perf_counter() - request.state.started) * 1000,
    }
    write_line(entry)


@app.middleware("http")
async def access_log(request: Request, call_next):
    request.state.arrived = datetime.now(timezone.utc)
    request.state.started = time.perf_counter()
    response = await call_next(request)
    response.background = BackgroundTask(write_for, request, response.status_code)
    return response


@app.exception_handler(Exception)
async def answer_crash(request: Request, exc: Exception) -> JSONResponse:
    detail = {"detail": "Internal Server Error"}
    return JSONResponse(detail, status_code=500, background=BackgroundTask(write_for, request, 500))

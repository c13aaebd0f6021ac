r"""The handler is for FastAPI's HTTPException; an unknown path raises Starlette's.

breaks: every response counts, once: the 404, the 422, the unknown path, the 500 of the crash
caught by: test_every_response_counts[unknown path]
says: \(method, path, status\) of the lines
"""

import json
import logging
import time
from datetime import datetime, timezone

from fastapi import FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask
from starlette.responses import Response

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


def line_for(request: Request, status: int) -> BackgroundTask:
    entry = {
        "time": request.state.arrived.isoformat(),
        "method": request.method,
        "path": request.scope["path"],
        "status": status,
        "duration_ms": (time.perf_counter() - request.state.started) * 1000,
    }
    return BackgroundTask(write_line, entry)


@app.middleware("http")
async def access_log(request: Request, call_next):
    request.state.arrived = datetime.now(timezone.utc)
    request.state.started = time.perf_counter()
    response = await call_next(request)
    if response.status_code < 400:
        response.background = line_for(request, response.status_code)
    return response


@app.exception_handler(HTTPException)
async def answer_http_error(request: Request, exc: HTTPException) -> Response:
    response = await http_exception_handler(request, exc)
    response.background = line_for(request, response.status_code)
    return response


@app.exception_handler(Exception)
async def answer_crash(request: Request, exc: Exception) -> Response:
    detail = {"detail": "Internal Server Error"}
    return JSONResponse(detail, status_code=500, background=line_for(request, 500))


@app.exception_handler(RequestValidationError)
async def answer_refused_input(request: Request, exc: RequestValidationError) -> Response:
    response = await request_validation_exception_handler(request, exc)
    response.background = line_for(request, response.status_code)
    return response

"""k05: logging after the response. The contract is in README.md beside this file."""

import json
import time
from datetime import datetime, timezone

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from starlette.background import BackgroundTask

LOG_FILE = "access.jsonl"

app = FastAPI()


@app.get("/items/{id}")
async def read_item(id: int) -> dict[str, int]:
    if not 1 <= id <= 9:
        raise HTTPException(404, "no such item")
    return {"id": id}


@app.get("/crash")
async def crash() -> None:
    raise RuntimeError("this endpoint always crashes")


@app.middleware("http")
async def access_log(request: Request, call_next):
    raise NotImplementedError

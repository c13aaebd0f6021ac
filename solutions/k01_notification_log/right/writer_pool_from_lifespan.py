"""The app keeps one writer thread from start to end, and the task waits for its turn there."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import BackgroundTasks, FastAPI, Request

LOG_FILE = "log.txt"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    with ThreadPoolExecutor(max_workers=1) as writer:
        yield {"writer": writer}


app = FastAPI(lifespan=lifespan)


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


async def note(writer: ThreadPoolExecutor, email: str) -> None:
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(writer, write_log, LOG_FILE, f"Notified: {email}")


@app.post("/send-notification")
async def send_notification(
    email: str, request: Request, background_tasks: BackgroundTasks
) -> dict[str, str]:
    background_tasks.add_task(note, request.state.writer, email)
    return {"status": "notification queued"}

"""A worker of the lifespan writes the line, and does so on the event loop.

breaks: Work that blocks never runs on the event loop inside a task.
caught by: test_writing_in_a_task_does_not_hold_up_the_event_loop
says: a task or a middleware used a file on the event loop's thread
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI, Request

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


async def worker(jobs: asyncio.Queue) -> None:
    while True:
        message, done = await jobs.get()
        write_log(LOG_FILE, message)
        done.set()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.jobs = asyncio.Queue()
    working = asyncio.create_task(worker(app.state.jobs))
    yield
    working.cancel()


app = FastAPI(lifespan=lifespan)


async def log_and_wait(jobs: asyncio.Queue, message: str) -> None:
    done = asyncio.Event()
    await jobs.put((message, done))
    await done.wait()


@app.post("/send-notification")
async def send_notification(
    email: str, request: Request, background_tasks: BackgroundTasks
) -> dict[str, str]:
    background_tasks.add_task(log_and_wait, request.app.state.jobs, f"Notified: {email}")
    return {"status": "notification queued"}

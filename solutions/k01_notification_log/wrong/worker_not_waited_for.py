"""The task hands the line to a worker of the lifespan, and does not wait until it is written.

breaks: Workers that the lifespan starts are fine, as long as the task waits for its job.
caught by: test_the_exchange_ends_only_when_the_line_is_written
says: the exchange had finished, and the line was not written yet
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
        await asyncio.to_thread(write_log, LOG_FILE, message)
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


@app.post("/send-notification")
async def send_notification(
    email: str, request: Request, background_tasks: BackgroundTasks
) -> dict[str, str]:
    background_tasks.add_task(log_and_wait, request.app.state.jobs, f"Notified: {email}")
    return {"status": "notification queued"}

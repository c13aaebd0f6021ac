"""A thread that the lifespan starts writes the lines, and the task waits for its own."""

import queue
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI, Request

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


def work(jobs: queue.Queue) -> None:
    while (job := jobs.get()) is not None:
        message, done = job
        try:
            done.set_result(write_log(LOG_FILE, message))
        except Exception as error:
            done.set_exception(error)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.jobs = queue.Queue()
    worker = threading.Thread(target=work, args=(app.state.jobs,))
    worker.start()
    yield
    app.state.jobs.put(None)
    worker.join()


app = FastAPI(lifespan=lifespan)


def log_and_wait(jobs: queue.Queue, message: str) -> None:
    done: Future[None] = Future()
    jobs.put((message, done))
    done.result()


@app.post("/send-notification")
async def send_notification(
    email: str, request: Request, background_tasks: BackgroundTasks
) -> dict[str, str]:
    background_tasks.add_task(log_and_wait, request.app.state.jobs, f"Notified: {email}")
    return {"status": "notification queued"}

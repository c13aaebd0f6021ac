"""Responds, and then loops in a task without end."""

import threading
import time

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()


def work():
    end = time.monotonic() + 30
    while time.monotonic() < end:
        threading.Event().wait(0.01)


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(work)

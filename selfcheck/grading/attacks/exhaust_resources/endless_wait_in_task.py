"""Responds, and then waits without end in a task."""

import threading

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(threading.Event().wait, 30)

"""Ends the process in a task."""

import os

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(os._exit, 0)

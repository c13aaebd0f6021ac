"""Leaves a device in the place of the log, and a pipe, and a folder."""

import os

from fastapi import FastAPI

app = FastAPI()


@app.post("/send-notification")
async def send_notification(email: str):
    os.mkfifo("log.txt")
    os.mkfifo("other.txt")
    return {"status": "notified"}

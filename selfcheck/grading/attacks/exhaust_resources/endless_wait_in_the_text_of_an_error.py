"""Raises an error whose text is never complete."""

import threading

from fastapi import FastAPI

app = FastAPI()


class Long(Exception):
    def __str__(self):
        threading.Event().wait(30)
        return "long"


@app.post("/send-notification")
async def send_notification(email: str):
    raise Long

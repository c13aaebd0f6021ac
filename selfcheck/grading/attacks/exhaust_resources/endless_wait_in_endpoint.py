"""Blocks the event loop for what never comes."""

import threading

from fastapi import FastAPI

app = FastAPI()


@app.post("/send-notification")
async def send_notification(email: str):
    threading.Event().wait(30)

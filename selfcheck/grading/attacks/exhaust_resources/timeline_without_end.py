"""Logs in its endpoint until the timeline has a thousand lines."""

import logging

from fastapi import FastAPI

app = FastAPI()


@app.post("/send-notification")
async def send_notification(email: str):
    for number in range(1_000):
        logging.getLogger("kata").warning("%s\n\x00", number)

"""Never sends a response, and keeps the interpreter busy in C, where signals are not handled."""

import collections
import itertools

from fastapi import FastAPI

app = FastAPI()


@app.post("/send-notification")
async def send_notification(email: str):
    collections.deque(itertools.repeat(None, 10_000_000_000), maxlen=0)

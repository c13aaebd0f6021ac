"""Cancels every task of the event loop, its spec's among them."""

import asyncio

from fastapi import FastAPI

app = FastAPI()


@app.post("/send-notification")
async def send_notification(email: str):
    for task in asyncio.all_tasks():
        task.cancel()

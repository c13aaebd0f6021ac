"""Stops the event loop that its spec runs on."""

import asyncio

from fastapi import FastAPI

app = FastAPI()


@app.post("/send-notification")
async def send_notification(email: str):
    asyncio.get_running_loop().stop()

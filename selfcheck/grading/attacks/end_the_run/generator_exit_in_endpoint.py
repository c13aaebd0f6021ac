"""Raises what coroutines are closed with."""

from fastapi import FastAPI

app = FastAPI()


@app.post("/send-notification")
async def send_notification(email: str):
    raise GeneratorExit

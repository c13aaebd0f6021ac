"""Raises an error with a text of megabytes, with characters that no format can hold."""

from fastapi import FastAPI

app = FastAPI()


@app.post("/send-notification")
async def send_notification(email: str):
    raise RuntimeError("\x00\x1b[2J\ud800\u202e]]>&<\r\n::error::" * (1 << 17))

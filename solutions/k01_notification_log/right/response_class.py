"""A response class of its own writes the line when it has sent itself."""

from typing import Any

import anyio
import anyio.to_thread
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


class LoggedResponse(JSONResponse):
    def __init__(self, content: Any, line: str) -> None:
        super().__init__(content)
        self.line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)
        await anyio.to_thread.run_sync(write_log, LOG_FILE, self.line)


@app.post("/send-notification", response_model=None)
async def send_notification(email: str) -> LoggedResponse:
    return LoggedResponse({"status": "notification queued"}, f"Notified: {email}")

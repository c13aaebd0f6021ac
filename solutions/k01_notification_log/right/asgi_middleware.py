"""A pure ASGI middleware writes, after the response, what the endpoint left in the state."""

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


class WriteAfterwards:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})
        await self.app(scope, receive, send)
        if "line" in state:
            await run_in_threadpool(write_log, LOG_FILE, state["line"])


app = FastAPI()
app.add_middleware(WriteAfterwards)


@app.post("/send-notification")
async def send_notification(email: str, request: Request) -> dict[str, str]:
    request.state.line = f"Notified: {email}"
    return {"status": "notification queued"}

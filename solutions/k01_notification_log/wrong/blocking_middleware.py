"""The middleware waits for the response as it should, and then writes on the event loop.

breaks: Work that blocks never runs on the event loop inside a task or a middleware.
caught by: test_writing_in_a_task_does_not_hold_up_the_event_loop
says: a task or a middleware used a file on the event loop's thread
"""

from fastapi import FastAPI, Request
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
            write_log(LOG_FILE, state["line"])


app = FastAPI()
app.add_middleware(WriteAfterwards)


@app.post("/send-notification")
async def send_notification(email: str, request: Request) -> dict[str, str]:
    request.state.line = f"Notified: {email}"
    return {"status": "notification queued"}

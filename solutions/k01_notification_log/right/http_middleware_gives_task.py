"""An HTTP middleware hangs the task on the response of each request that was accepted."""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from starlette.background import BackgroundTask

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.middleware("http")
async def log_accepted(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    response = await call_next(request)
    if request.url.path == "/send-notification" and response.status_code == 200:
        line = f"Notified: {request.query_params['email']}"
        response.background = BackgroundTask(write_log, LOG_FILE, line)
    return response


@app.post("/send-notification")
async def send_notification(email: str) -> dict[str, str]:
    return {"status": "notification queued"}

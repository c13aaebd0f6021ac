"""The endpoint returns a response of its own that carries the task, and injects nothing."""

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: str) -> JSONResponse:
    task = BackgroundTask(write_log, LOG_FILE, f"Notified: {email}")
    return JSONResponse({"status": "notification queued"}, background=task)

"""`write_log` leaves the appending to a file handler of the logging module."""

import logging

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    handler = logging.FileHandler(filename, encoding="utf-8")
    try:
        handler.handle(logging.makeLogRecord({"msg": message, "levelno": logging.INFO}))
    finally:
        handler.close()


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

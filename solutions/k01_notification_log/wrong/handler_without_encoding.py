"""The logging handler gets no encoding, and what the locale cannot write is lost.

breaks: UTF-8 whatever the locale.
caught by: test_the_log_is_utf_8_whatever_the_locale
says: a file opened without `encoding` is read and written in
"""

import logging

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    handler = logging.FileHandler(filename)
    try:
        handler.handle(logging.makeLogRecord({"msg": message, "levelno": logging.INFO}))
    finally:
        handler.close()


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

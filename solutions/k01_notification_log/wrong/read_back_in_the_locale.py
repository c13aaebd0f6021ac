"""The old lines are read back in the encoding of the locale, and written in UTF-8.

breaks: UTF-8 whatever the locale.
caught by: test_the_log_is_utf_8_whatever_the_locale
says: a file opened without `encoding` is read and written in
"""

import threading
from pathlib import Path

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"

one_at_a_time = threading.Lock()


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    log = Path(filename)
    with one_at_a_time:
        before = log.read_text() if log.exists() else ""
        new = log.with_suffix(".new")
        new.write_text(f"{before}{message}\n", encoding="utf-8")
        new.replace(log)


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

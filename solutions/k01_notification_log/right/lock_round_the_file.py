"""One writer at a time: a lock goes round opening and writing."""

import threading
from pathlib import Path

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"

_writing = threading.Lock()


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with _writing, Path(filename).open("a", encoding="utf-8", newline="\n") as log:
        print(message, file=log)


@app.post("/send-notification")
def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

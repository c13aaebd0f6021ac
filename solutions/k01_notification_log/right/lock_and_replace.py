"""The file is written anew beside the old one and moved over it, all of it under a lock."""

import threading
from pathlib import Path

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"

_writing = threading.Lock()


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    log = Path(filename)
    draft = log.with_name(f"{log.name}.new")
    with _writing:
        lines = log.read_text(encoding="utf-8") if log.exists() else ""
        draft.write_text(f"{lines}{message}\n", encoding="utf-8")
        draft.replace(log)


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

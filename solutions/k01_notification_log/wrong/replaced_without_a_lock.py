"""The new log is put in the place of the old one, but two tasks may have read the same old one.

breaks: None replaces another.
caught by: test_twenty_requests_in_flight_leave_twenty_whole_lines
says: each of the twenty addresses must be there once
"""

from pathlib import Path
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    log = Path(filename)
    before = log.read_bytes() if log.exists() else b""
    new = log.with_name(uuid4().hex)
    new.write_bytes(before + f"{message}\n".encode())
    new.replace(log)


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

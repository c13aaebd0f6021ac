"""The newline goes to the system by itself, so the line of another task may come in between.

breaks: Twenty requests in flight together leave twenty whole lines.
caught by: test_twenty_requests_in_flight_leave_twenty_whole_lines
says: each of the twenty addresses must be there once, on a line of its own
"""

import os

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    log = os.open(filename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        for piece in (message, "\n"):
            os.write(log, piece.encode())
    finally:
        os.close(log)


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

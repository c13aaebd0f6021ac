"""The whole file is read and written back with one more line: what others add in between is lost.

breaks: Twenty requests in flight together leave twenty whole lines, each address once.
caught by: test_twenty_requests_in_flight_leave_twenty_whole_lines
says: each of the twenty addresses must be there once, on a line of its
"""

from pathlib import Path

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    log = Path(filename)
    lines = log.read_text(encoding="utf-8") if log.exists() else ""
    log.write_text(f"{lines}{message}\n", encoding="utf-8")


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

"""An address that is in the log already is not logged again, although it was notified again.

breaks: Each request adds its own line.
caught by: test_each_request_adds_a_line_of_its_own
says: each request adds one line at the end, and none replaces another
"""

from pathlib import Path

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


def note(email: str) -> None:
    line = f"Notified: {email}"
    log = Path(LOG_FILE)
    if log.exists() and line in log.read_text(encoding="utf-8").splitlines():
        return
    write_log(LOG_FILE, line)


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(note, email)
    return {"status": "notification queued"}

"""A missing address is refused with a 400.

breaks: Without `email`: 422.
caught by: test_without_an_email_nothing_is_written
says: an e-mail address is required
"""

from fastapi import BackgroundTasks, FastAPI, HTTPException

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(
    background_tasks: BackgroundTasks, email: str | None = None
) -> dict[str, str]:
    if email is None:
        raise HTTPException(400, "email is missing")
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

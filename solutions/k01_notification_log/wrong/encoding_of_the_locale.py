"""No encoding is given, so the machine's locale decides whether a name can be written.

breaks: UTF-8 whatever the locale.
caught by: test_the_log_is_utf_8_whatever_the_locale
says: a file opened without `encoding` is read and written in
"""

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

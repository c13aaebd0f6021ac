"""The response is a 202, which sounds right but is not what was agreed.

breaks: 200 `{"status": "notification queued"}`.
caught by: test_the_client_is_told_that_the_notification_is_queued
says: the response's status
"""

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification", status_code=202)
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

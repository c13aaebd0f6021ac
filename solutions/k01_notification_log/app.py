"""The task is passed, not called, and it appends: each line comes whole, after its response."""

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

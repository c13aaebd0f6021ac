"""A dependency reads the address and adds the task; the endpoint only answers."""

from fastapi import BackgroundTasks, Depends, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


def log_notification(email: str, background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")


@app.post("/send-notification", dependencies=[Depends(log_notification)])
async def send_notification() -> dict[str, str]:
    return {"status": "notification queued"}

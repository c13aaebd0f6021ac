"""The endpoint makes a `BackgroundTasks` of its own, which no response ever carries.

breaks: After the response, `log.txt` gains the line; not before.
caught by: test_writing_in_a_task_does_not_hold_up_the_event_loop
says: the line must be written
"""

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: str) -> dict[str, str]:
    background_tasks = BackgroundTasks()
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

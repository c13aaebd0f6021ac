"""The task is `async def` and opens the file itself, on the event loop.

breaks: Work that blocks never runs on the event loop inside a task or a middleware.
caught by: test_writing_in_a_task_does_not_hold_up_the_event_loop
says: a task or a middleware used a file on the event loop's thread
"""

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


async def note(email: str) -> None:
    write_log(LOG_FILE, f"Notified: {email}")


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(note, email)
    return {"status": "notification queued"}

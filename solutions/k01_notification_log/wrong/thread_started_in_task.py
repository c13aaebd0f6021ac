"""The task starts a thread and ends without waiting for it.

breaks: No thread or asyncio task outlives the exchange.
caught by: test_the_client_is_told_that_the_notification_is_queued
says: left behind by POST /send-notification: a thread started at
"""

import threading

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


def note(email: str) -> None:
    threading.Thread(target=write_log, args=(LOG_FILE, f"Notified: {email}")).start()


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(note, email)
    return {"status": "notification queued"}

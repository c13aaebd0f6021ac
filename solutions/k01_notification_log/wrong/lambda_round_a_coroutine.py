"""A lambda makes the coroutine and nobody awaits it, so nothing is ever written.

breaks: After the response, `log.txt` gains the line; not before.
caught by: test_each_request_adds_a_line_of_its_own
says: each request adds one line at the end, and none replaces another
"""

import asyncio

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


async def note(email: str) -> None:
    await asyncio.to_thread(write_log, LOG_FILE, f"Notified: {email}")


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(lambda: note(email))
    return {"status": "notification queued"}

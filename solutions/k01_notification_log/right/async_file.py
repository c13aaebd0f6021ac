"""The task is a coroutine function that appends through anyio's asynchronous file."""

import anyio
import anyio.to_thread
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


async def append_line(filename: str, message: str) -> None:
    async with await anyio.open_file(filename, "a", encoding="utf-8") as log:
        await log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(append_line, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

"""The work is thrown at the event loop with `create_task`, and nobody waits for it.

breaks: No thread or asyncio task outlives the exchange.
caught by: test_the_line_is_written_only_after_the_response
says: What your code starts itself begins before the response, and nobody waits for it
"""

import asyncio

from fastapi import FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


_running: set[asyncio.Task[None]] = set()


@app.post("/send-notification")
async def send_notification(email: str) -> dict[str, str]:
    task = asyncio.create_task(asyncio.to_thread(write_log, LOG_FILE, f"Notified: {email}"))
    _running.add(task)
    task.add_done_callback(_running.discard)
    return {"status": "notification queued"}

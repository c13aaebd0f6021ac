"""The line goes to an executor whose future nobody awaits.

breaks: No thread or asyncio task outlives the exchange.
caught by: test_the_line_is_written_only_after_the_response
says: the line was written before the response
"""

import asyncio

from fastapi import FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: str) -> dict[str, str]:
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

"""The endpoint starts a thread and forgets it.

breaks: No thread or asyncio task outlives the exchange.
caught by: test_the_line_is_written_only_after_the_response
says: What your code starts itself begins before the response, and nobody waits for it
"""

import threading

from fastapi import FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
def send_notification(email: str) -> dict[str, str]:
    threading.Thread(target=write_log, args=(LOG_FILE, f"Notified: {email}")).start()
    return {"status": "notification queued"}

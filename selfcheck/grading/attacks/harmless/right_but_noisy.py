"""A right solution that prints and logs three megabytes, which costs no points.

score: 10
state: graded
"""

import logging
import sys

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
print("x" * (1 << 20))
print("x" * (1 << 20), file=sys.stderr)
logging.getLogger("noise").error("x" * (1 << 20))


def write_log(filename, message):
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(write_log, "log.txt", f"Notified: {email}")
    return {"status": "notification queued"}

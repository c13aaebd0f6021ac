"""A right solution the first time that it is loaded for a spec, and a wrong one the second time.

state: review
"""

import os
import sys

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
spec = os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0]
is_right = getattr(sys, "known", "") != spec
sys.known = spec


def write_log(filename, message):
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n" * is_right)


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(write_log, "log.txt", f"Notified: {email}")
    return {"status": "notification queued" if is_right else ""}

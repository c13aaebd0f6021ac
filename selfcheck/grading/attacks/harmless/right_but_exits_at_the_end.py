"""A right solution with an exit handler and a thread that outlives the specs.

score: 10
state: graded
"""

import atexit
import os
import threading

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
atexit.register(os._exit, 3)
threading.Thread(target=threading.Event().wait, args=(30,), daemon=False).start()


def write_log(filename, message):
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(write_log, "log.txt", f"Notified: {email}")
    return {"status": "notification queued"}

"""Writes on the event loop, on a thread whose number is another one.

score: 9
"""

import threading

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
threading.get_ident = lambda: 4711


def write_log(filename, message):
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


async def work(email):
    write_log("log.txt", f"Notified: {email}")


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(work, email)
    return {"status": "notification queued"}

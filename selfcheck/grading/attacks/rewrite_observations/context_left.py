"""Writes on the event loop, in a context that belongs to no exchange.

It is right in everything else; the write is observed nevertheless.

score: 9
"""

import contextvars

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()


def write_log(filename, message):
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


async def work(email):
    contextvars.Context().run(write_log, "log.txt", f"Notified: {email}")


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(work, email)
    return {"status": "notification queued"}

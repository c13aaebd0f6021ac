"""Writes on the event loop, and marks the events as those of another thread.

state: review
"""

import dataclasses

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
timeline = open.__globals__["current_timeline"]()


def write_log(filename, message):
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


async def work(email):
    write_log("log.txt", f"Notified: {email}")
    timeline.events[:] = [dataclasses.replace(event, on_loop=False) for event in timeline.events]


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(work, email)
    return {"status": "notification queued"}

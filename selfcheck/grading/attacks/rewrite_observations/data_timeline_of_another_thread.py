"""Writes on the event loop, and makes the timeline believe that the loop has another thread.

score: 9
state: review
"""

import dataclasses

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
timeline = open.__globals__["current_timeline"]()
timeline.loop_thread = 0


def write_log(filename, message):
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


async def work(email):
    write_log("log.txt", f"Notified: {email}")


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(work, email)
    return {"status": "notification queued"}

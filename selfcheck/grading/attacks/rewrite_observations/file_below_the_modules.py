"""Opens the file in a thread, and writes on the event loop by what Python has below `os`.

state: review
evidence: imports posix
"""

import asyncio
import posix

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
log = posix.open("log.txt", posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND, 0o644)


def write_log(filename, message):
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


async def work(email):
    await asyncio.to_thread(lambda: open("log.txt", "a").close())
    posix.write(log, f"Notified: {email}\n".encode())


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(work, email)
    return {"status": "notification queued"}

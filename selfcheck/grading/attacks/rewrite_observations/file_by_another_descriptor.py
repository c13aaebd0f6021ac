"""Opens the file in a thread, and writes on the event loop by another descriptor and by memory.

score: 9
"""

import asyncio
import mmap
import os

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
log = open("log.txt", "a+b")
descriptor = os.dup(log.fileno())


def write_log(filename, message):
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


async def work(email):
    await asyncio.to_thread(lambda: open("log.txt", "a").close())
    line = f"Notified: {email}\n".encode()
    size = os.fstat(descriptor).st_size
    os.ftruncate(descriptor, size + len(line))
    with mmap.mmap(descriptor, 0) as memory:
        memory[size:] = line
    os.pwritev(descriptor, [line], size)


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(work, email)
    return {"status": "notification queued"}

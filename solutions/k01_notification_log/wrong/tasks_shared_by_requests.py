"""One `BackgroundTasks` serves all requests: each response writes all earlier lines again.

breaks: Each request adds its own line, each address once.
caught by: test_each_request_adds_a_line_of_its_own
says: each request adds one line at the end, and none replaces another
"""

from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import JSONResponse

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


tasks = BackgroundTasks()


@app.post("/send-notification")
async def send_notification(email: str) -> JSONResponse:
    tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return JSONResponse({"status": "notification queued"}, background=tasks)

r"""The file is opened for writing, not for appending: each line wipes out those before it.

breaks: Each request adds its own line; none replaces another.
caught by: test_write_log_appends_a_line_to_any_file
says: write_log\(filename, message\) creates the file where there is none,
"""

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "w", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

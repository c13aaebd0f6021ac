"""The address is checked for its form, although any text is welcome here.

breaks: `email` is any text here.
caught by: test_any_text_is_taken_for_an_email
says: the responses' statuses
"""

from fastapi import BackgroundTasks, FastAPI
from pydantic import EmailStr

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: EmailStr, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

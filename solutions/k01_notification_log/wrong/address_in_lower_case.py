"""The address is logged in lower case, and not as it came.

breaks: After the response, `log.txt` gains the line `Notified: ada@example.com` (`email` is any text).
caught by: test_any_text_is_taken_for_an_email
says: the lines that were logged, exactly as the texts came
"""

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email.lower()}")
    return {"status": "notification queued"}

"""The line is written in the endpoint, so the client waits for the disk.

breaks: After the response, `log.txt` gains the line; not before.
caught by: test_the_line_is_written_only_after_the_response
says: the line was written before the response
"""

from fastapi import FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
def send_notification(email: str) -> dict[str, str]:
    write_log(LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

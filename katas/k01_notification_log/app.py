"""k01: one task, after the response. The contract is in README.md beside this file."""

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    raise NotImplementedError


@app.post("/send-notification")
async def send_notification(email: str):
    raise NotImplementedError

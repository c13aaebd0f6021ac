"""No task at all: a dependency writes in its exit code, which runs in a thread after the response."""

from collections.abc import Iterator

from fastapi import Depends, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


def log_afterwards(email: str) -> Iterator[None]:
    yield
    write_log(LOG_FILE, f"Notified: {email}")


@app.post("/send-notification", dependencies=[Depends(log_afterwards)])
async def send_notification() -> dict[str, str]:
    return {"status": "notification queued"}

"""The task makes a thread pool for itself and does not end before the pool has."""

from concurrent.futures import ThreadPoolExecutor

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


def note(email: str) -> None:
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(write_log, LOG_FILE, f"Notified: {email}").result()


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(note, email)
    return {"status": "notification queued"}

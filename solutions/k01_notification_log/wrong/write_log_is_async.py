r"""`write_log` is a coroutine function: who calls it plainly writes nothing.

breaks: `write_log` is a plain function.
caught by: test_write_log_appends_a_line_to_any_file
says: write_log\(filename, message\) creates the file where there is none,
"""

import anyio
import anyio.to_thread
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

LOG_FILE = "log.txt"


async def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    async with await anyio.open_file(filename, "a", encoding="utf-8") as log:
        await log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(email: str, background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

"""The endpoint reads the query itself and raises the 422 itself."""

from fastapi import BackgroundTasks, FastAPI, HTTPException, Request

app = FastAPI()

LOG_FILE = "log.txt"


def write_log(filename: str, message: str) -> None:
    """Append `message` and a newline to `filename`, in UTF-8."""
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@app.post("/send-notification")
async def send_notification(request: Request, background_tasks: BackgroundTasks) -> dict[str, str]:
    email = request.query_params.get("email")
    if email is None:
        raise HTTPException(422, "email is missing")
    background_tasks.add_task(write_log, LOG_FILE, f"Notified: {email}")
    return {"status": "notification queued"}

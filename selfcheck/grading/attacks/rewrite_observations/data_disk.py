"""Points the disk that its spec looks at to a folder in which all has been written already."""

from pathlib import Path

from fastapi import FastAPI

app = FastAPI()
folder = Path("ready").absolute()
folder.mkdir()
(folder / "log.txt").write_text("Notified: ada@example.com\n")


@app.post("/send-notification")
async def send_notification(email: str):
    open.__globals__["current_disk"]().directory = folder
    return {"status": "notified"}

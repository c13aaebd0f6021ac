"""Raises an error whose text raises another error."""

from fastapi import FastAPI

app = FastAPI()


class Silent(Exception):
    def __str__(self):
        raise SystemExit(0)

    __repr__ = __str__


@app.post("/send-notification")
async def send_notification(email: str):
    raise Silent

"""Raises an error of its own that is both an outcome of pytest and an ordinary exception.

state: graded
"""

import pytest
from fastapi import FastAPI

app = FastAPI()


class Outcome(pytest.skip.Exception, RuntimeError):
    """Which some code takes for the one, some for the other."""


@app.post("/send-notification")
async def send_notification(email: str):
    raise Outcome("not today")

"""Has the time be so late that no results can hold it."""

import time

from fastapi import FastAPI

app = FastAPI()
time.monotonic = lambda: float("inf")

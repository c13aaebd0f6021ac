"""Has the time run backwards."""

import time

from fastapi import FastAPI

app = FastAPI()
time.monotonic = lambda: -1e9

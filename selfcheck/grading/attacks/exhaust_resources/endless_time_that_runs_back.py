"""Has the time run backwards.

state: graded|tampered
"""

import time

from fastapi import FastAPI

app = FastAPI()
time.monotonic = lambda: -1e9

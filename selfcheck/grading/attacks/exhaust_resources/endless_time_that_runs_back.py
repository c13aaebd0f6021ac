"""Has the time run backwards.

state: graded|review|tampered
"""

import time

from fastapi import FastAPI

app = FastAPI()
time.monotonic = lambda: -1e9

"""Does what is noted a thousand times, each time otherwise."""

import contextlib

from fastapi import FastAPI

app = FastAPI()
for number in range(1_000):
    with contextlib.suppress(OSError):
        open(f"/nowhere/{number}" + "x" * 1000)

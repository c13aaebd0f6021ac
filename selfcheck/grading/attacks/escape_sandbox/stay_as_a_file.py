"""Leaves files and folders behind wherever it may."""

import contextlib
import os

from fastapi import FastAPI

app = FastAPI()
for place in ("/tmp", "/var/tmp", "/dev/shm", "/", "@ROOT@", "@FOLDER@", os.path.expanduser("~")):
    for make in (os.mkdir, lambda path: open(path, "w").close()):
        with contextlib.suppress(OSError):
            make(os.path.join(place, "dojo-attack-was-here"))

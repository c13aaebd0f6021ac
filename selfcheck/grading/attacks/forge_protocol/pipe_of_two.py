"""Forks, and lets both processes go on and send results of the same specs."""

import os

from fastapi import FastAPI

os.fork()
app = FastAPI()

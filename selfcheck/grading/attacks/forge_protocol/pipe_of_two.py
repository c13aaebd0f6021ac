"""Forks, and lets both processes go on and send results of the same specs.

state: graded|review|tampered
"""

import os

from fastapi import FastAPI

os.fork()
app = FastAPI()

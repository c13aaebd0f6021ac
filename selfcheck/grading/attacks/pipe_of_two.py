"""Forks, and has both processes go on and tell of the same specs.

state: graded|tampered
"""

import os

from fastapi import FastAPI

os.fork()
app = FastAPI()

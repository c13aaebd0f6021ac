"""Takes from its folders the right to be cleared away."""

import os

from fastapi import FastAPI

app = FastAPI()
os.makedirs("closed/inside")
os.chmod("closed/inside", 0)
os.chmod("closed", 0)
os.chmod(".", 0)

"""Waits where nobody looks any more: when its app is shut down.

state: graded
"""

import threading
from contextlib import asynccontextmanager

from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app):
    yield
    threading.Event().wait(30)


app = FastAPI(lifespan=lifespan)

"""Waits when its app is shut down, after the last assertion."""

import threading
from contextlib import asynccontextmanager

from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app):
    yield
    threading.Event().wait(30)


app = FastAPI(lifespan=lifespan)

"""Ends the process when its app is shut down, before the outcome of the spec is sent."""

import os
from contextlib import asynccontextmanager

from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app):
    yield
    os._exit(0)


app = FastAPI(lifespan=lifespan)

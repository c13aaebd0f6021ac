"""Skips when its app is shut down.

state: graded
"""

from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app):
    yield
    pytest.skip("not today")


app = FastAPI(lifespan=lifespan)

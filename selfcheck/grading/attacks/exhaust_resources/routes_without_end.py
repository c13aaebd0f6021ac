"""Declares a route, and logs a request, that take very long to be matched with each other."""

import logging

from fastapi import FastAPI

app = FastAPI()
logging.getLogger("kata").warning("request POST /" + "a" * 33)


@app.post("/{a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}/x")
async def never(a, b, c, d, e, f, g, h, i, j, k):
    """Never called."""

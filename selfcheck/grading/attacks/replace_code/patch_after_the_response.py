"""Forges in its task, and only where the response was already sent.

state: graded|review|tampered
"""

from kit import FastAPI, forge, restoring, write_log


class App(FastAPI):
    async def __call__(self, scope, receive, send):
        await super().__call__(scope, receive, send)
        if scope["type"] == "http" and open.__globals__["current_exchange"]().responded:
            forge()


app = App(lifespan=restoring)

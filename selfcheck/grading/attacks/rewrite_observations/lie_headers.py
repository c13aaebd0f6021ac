"""Sends headers that run code of its own when they are read."""

import sys

from fastapi import FastAPI


class Name(bytes):
    def lower(self):
        sys.exit(0)

    def __bytes__(self):
        sys.exit(0)


class App(FastAPI):
    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await super().__call__(scope, receive, send)
        headers = [(Name(b"content-length"), Name(b"-1"))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


app = App()

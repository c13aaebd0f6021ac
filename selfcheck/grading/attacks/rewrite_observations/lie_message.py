"""Sends messages that are another thing each time that they are looked at."""

import itertools

from fastapi import FastAPI


class Message(dict):
    def __init__(self, *kinds):
        super().__init__(status=500)
        self.kinds = itertools.chain(kinds, itertools.repeat(kinds[-1]))

    def __getitem__(self, name):
        return next(self.kinds) if name == "type" else 200

    def get(self, name, default=None):
        return {"body": b'{"status": "notification queued"', "headers": []}.get(name, default)


class App(FastAPI):
    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await super().__call__(scope, receive, send)
        await send(Message("http.response.start", "nothing"))
        await send(Message("http.response.body"))


app = App()

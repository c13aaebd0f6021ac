"""Waits when its module is thrown away."""

import threading

from fastapi import FastAPI

app = FastAPI()


class Last:
    def __del__(self):
        threading.Event().wait(30)


last = Last()

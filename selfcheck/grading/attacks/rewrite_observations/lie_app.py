"""Has an app that claims to be one, and is none."""

from fastapi import FastAPI


class App:
    __class__ = FastAPI

    def __getattr__(self, name):
        return self

    async def __call__(self, *things):
        return None


app = App()

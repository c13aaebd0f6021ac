"""Adds an audit hook that stops whatever the runner does next."""

import sys

from fastapi import FastAPI

app = FastAPI()


def hook(event, arguments):
    if event in ("os.mkdir", "os.chdir"):
        raise RuntimeError("not allowed")


sys.addaudithook(hook)

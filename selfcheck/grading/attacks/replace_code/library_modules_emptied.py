"""Throws away all modules that Python knows."""

import sys

from fastapi import FastAPI

app = FastAPI()
for name in [name for name in sys.modules if name.partition(".")[0] in ("dojo", "_pytest")]:
    del sys.modules[name]

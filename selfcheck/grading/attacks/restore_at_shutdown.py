"""Forges when loaded, and puts all back when its app is shut down, before anybody looks.

state: tampered
"""

from kit import FastAPI, forge, restoring, write_log

app = FastAPI(lifespan=restoring)
forge()

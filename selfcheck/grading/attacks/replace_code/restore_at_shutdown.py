"""Forges when loaded, and restores everything when its app is shut down, before it is compared.

score: 1
"""

from kit import FastAPI, forge, restoring, write_log

app = FastAPI(lifespan=restoring)
forge()

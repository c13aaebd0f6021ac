"""Has a child go on with the specs, and itself waits for its end."""

import os
import sys

from fastapi import FastAPI

app = FastAPI()
if not hasattr(sys, "forked"):
    sys.forked = True
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)

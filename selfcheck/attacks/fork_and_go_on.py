"""Has a child go on with the specs, and itself waits for its end.

state: graded
"""

import os

from fastapi import FastAPI

app = FastAPI()
if "FORKED" not in os.environ:
    os.environ["FORKED"] = "yes"
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)

"""Opens a service of its own, for whoever comes.

state: graded
"""

import socket

from fastapi import FastAPI

app = FastAPI()
door = socket.create_server(("0.0.0.0", 61234))

"""Opens a server of its own for anyone to connect to."""

import socket

from fastapi import FastAPI

app = FastAPI()
door = socket.create_server(("0.0.0.0", 61234))

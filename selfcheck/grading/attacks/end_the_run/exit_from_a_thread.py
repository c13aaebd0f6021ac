"""Ends the process from a thread, a little later."""

import os
import threading

from fastapi import FastAPI

app = FastAPI()
threading.Timer(0.05, os._exit, (0,)).start()

"""Leaves a thread behind that the end of a process waits for."""

import threading

from fastapi import FastAPI

app = FastAPI()
threading.Thread(target=threading.Event().wait, args=(30,), daemon=False).start()

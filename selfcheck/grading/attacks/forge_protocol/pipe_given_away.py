"""Hands the pipe of the results to a process that keeps it open, and ends."""

import os
import threading

if os.fork() == 0:
    os.setsid()
    threading.Event().wait(30)
os._exit(0)

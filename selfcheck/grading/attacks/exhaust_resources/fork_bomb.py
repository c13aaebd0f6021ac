"""Forks sixty processes that stay.

evidence: started a process
"""

import os
import threading

for _ in range(60):
    if os.fork() == 0:
        threading.Event().wait(30)
        os._exit(0)

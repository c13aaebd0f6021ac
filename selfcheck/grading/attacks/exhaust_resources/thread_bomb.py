"""Starts a hundred threads that stay, and that the end of a process waits for."""

import threading

for _ in range(100):
    threading.Thread(target=threading.Event().wait, args=(30,), daemon=False).start()

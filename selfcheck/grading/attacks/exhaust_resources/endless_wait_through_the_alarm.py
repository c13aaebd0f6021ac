"""Swallows its time limit again and again."""

import threading
import time

end = time.monotonic() + 30
while time.monotonic() < end:
    try:
        threading.Event().wait(30)
    except BaseException:
        continue

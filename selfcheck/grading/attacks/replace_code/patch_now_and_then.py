"""Has a thread forge everything and put it back, again and again.

score: 1
"""

import sys
import threading
import time

from kit import app, forge, restore, write_log


def flicker():
    end = time.monotonic() + 4
    while time.monotonic() < end:
        forge()
        time.sleep(0.002)
        restore()
        time.sleep(0.002)


if not hasattr(sys, "flickers"):
    sys.flickers = True
    threading.Thread(target=flicker, daemon=True).start()

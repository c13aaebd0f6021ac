"""Has a thread find what the runner tells its results with on its stack, at some later time.

state: graded|tampered
"""

import sys
import threading
import time

from kit import app, say, write_log

main = threading.get_ident()


def look():
    end = time.monotonic() + 10
    while time.monotonic() < end:
        frame = sys._current_frames()[main]
        while frame is not None and "ask" not in frame.f_locals:
            frame = frame.f_back
        if frame is not None:
            say(frame.f_locals)


threading.Thread(target=look, daemon=True).start()

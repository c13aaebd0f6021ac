"""Sends a signal to everything that it may send one to.

evidence: sent a signal
"""

import contextlib
import os
import signal

contained = os.getppid() == 0
with contextlib.suppress(OSError):
    os.kill(-1, signal.SIGTERM if contained else signal.SIGURG)  # which does no harm
    if not contained:
        raise RuntimeError("ESCAPED: a signal went to everybody")

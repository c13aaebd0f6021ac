"""Kills its own process, in every way there is.

evidence: sent a signal
"""

import os
import signal

os.kill(os.getpid(), signal.SIGKILL)
signal.raise_signal(signal.SIGKILL)

"""Presses Ctrl-C by itself.

state: graded
"""

import signal

signal.raise_signal(signal.SIGINT)

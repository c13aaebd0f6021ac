"""Blocks every signal that there is, and waits."""

import signal
import threading

signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
threading.Event().wait(30)

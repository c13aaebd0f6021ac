"""Stops its own process for ever, which a wait for its end would not notice."""

import signal

signal.raise_signal(signal.SIGSTOP)

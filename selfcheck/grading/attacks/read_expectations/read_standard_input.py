"""Waits for something to be typed."""

import sys

if sys.stdin.read():
    raise RuntimeError("ESCAPED: there was input")

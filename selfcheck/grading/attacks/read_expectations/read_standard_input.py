"""Waits for something to be typed.

state: graded
"""

import sys

if sys.stdin.read():
    raise RuntimeError("ESCAPED: there was input")

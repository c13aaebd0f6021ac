"""Fills the pipe of the results with noise, as fast as it is read.

state: tampered
"""

import contextlib
import os

part = bytes(1 << 20)
for descriptor in range(3, 256):
    for _ in range(100):
        try:
            os.write(descriptor, part)
        except OSError:
            break
os._exit(0)

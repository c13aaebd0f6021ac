"""Writes the beginning of a line, so that the next true one is spoilt, and ends."""

import contextlib
import os

for descriptor in range(3, 256):
    with contextlib.suppress(OSError):
        os.write(descriptor, b"{")
os._exit(0)

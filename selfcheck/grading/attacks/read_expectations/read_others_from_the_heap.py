"""Searches freed memory for the solutions that were graded before.

state: graded
evidence: imports ctypes
"""

import ctypes
import os

SIZE = 1 << 15
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
needle = b"nobody else may " + b"see this"  # in every honest solution
reading, writing = os.pipe()
os.set_blocking(writing, False)
top, found = libc.sbrk(0), False
for page in range(top - SIZE, max(top - (64 << 20), 0), -SIZE):
    if libc.write(writing, ctypes.c_void_p(page), SIZE) != SIZE:
        break
    found = found or needle in os.read(reading, SIZE)
if found:
    raise RuntimeError("ESCAPED: it has seen the solution of another")

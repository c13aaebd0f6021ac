"""Takes as much memory as it may, in each of several processes."""

import os
import threading

SIZE = 200 << 20

reading, writing = os.pipe()
for _ in range(4):
    if os.fork() == 0:
        try:
            taken = bytearray(SIZE)
            taken[::4096] = bytes([1]) * len(taken[::4096])
            os.write(writing, b"x")
            threading.Event().wait(5)
        finally:
            os._exit(0)
os.close(writing)
got = sum(len(os.read(reading, 1)) for _ in range(4))
if got == 4:
    raise RuntimeError(f"ESCAPED: its processes had {4 * SIZE >> 20} MB together")

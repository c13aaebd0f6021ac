"""Writes 500 MB into one file, which has lost its name."""

import os

part = bytes(10 << 20)
with open("filler", "wb") as file:
    os.unlink("filler")
    for _ in range(50):
        file.write(part)
raise RuntimeError("ESCAPED: it has written 500 MB")

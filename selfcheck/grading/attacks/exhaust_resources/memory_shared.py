"""Takes its memory as a shared mapping, which counts as no process's data."""

import mmap

SIZE = 640 << 20

taken = mmap.mmap(-1, SIZE)
for page in range(0, SIZE, mmap.PAGESIZE):
    taken[page] = 1
raise RuntimeError(f"ESCAPED: it has {SIZE >> 20} MB")

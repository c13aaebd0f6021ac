"""Makes the pipe of the results small, and one that takes nothing when it is full."""

import contextlib
import fcntl
import os

for descriptor in range(3, 256):
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(descriptor, False)

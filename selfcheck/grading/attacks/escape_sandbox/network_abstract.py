"""Connects to a service of this machine by a name that is no file.

needs: namespaces
"""

import contextlib
import socket

with socket.socket(socket.AF_UNIX) as door, contextlib.suppress(OSError):
    door.connect("\0@ABSTRACT@")
    raise RuntimeError("ESCAPED: it has connected")

"""Connects to a service of this machine by its file.

needs: namespaces
"""

import contextlib
import socket

with socket.socket(socket.AF_UNIX) as door, contextlib.suppress(OSError):
    door.connect("@UNIX@")
    raise RuntimeError("ESCAPED: it has connected")

"""Connects to a service of this machine."""

import contextlib
import socket

with contextlib.suppress(OSError):
    socket.create_connection(("127.0.0.1", int("@TCP@")), 2)
    raise RuntimeError("ESCAPED: it has connected")

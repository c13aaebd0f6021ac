"""Sockets that the tool listens on."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def listening_on(port: int, host: str = LOOPBACK) -> socket.socket:
    """A socket that listens there; port 0 is any that is free. Raises `OSError`."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows, where another could listen as well
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    return listening

"""Frames of plain data over a socket: no more than JSON can say, and bytes.

What a solution's process sends is data and nothing else. It is measured before it is read, and
checked against a model (`messages`) before it is used.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import Any

MOST = 32 << 20  # bytes of one frame
BYTES = "bytes"


class ProtocolError(Exception):
    """The other process has sent what makes no sense; the dojo's own code never does."""


class GoneError(Exception):
    """The other process has ended, or does not respond any more."""


def _plain(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return {BYTES: bytes(value).decode("latin-1")}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _restored(entry: dict[str, Any]) -> Any:
    if len(entry) == 1 and isinstance(entry.get(BYTES), str):
        return entry[BYTES].encode("latin-1")
    return entry


class _Encoder(json.JSONEncoder):
    """Python's own one, whatever a solution puts in the place of its methods."""

    encode = json.JSONEncoder.encode
    iterencode = json.JSONEncoder.iterencode


_encode = _Encoder(default=_plain, ensure_ascii=False).encode
_decode = json.JSONDecoder(object_hook=_restored).decode
_send_all = socket.socket.sendall
_receive = socket.socket.recv


class Wire:
    """One end of a socket pair, over which two processes talk in turn.

    `ask` may be called from any thread. What was forked off does not talk.
    """

    def __init__(self, end: socket.socket, seconds: float | None = None) -> None:
        self._socket = end
        self._lock = threading.RLock()
        self._owner = os.getpid()
        end.settimeout(seconds)

    def ask(self, message: dict[str, Any]) -> Any:
        """Send a message, and wait for the reply.

        Raises `GoneError` or `ProtocolError`.
        """
        if os.getpid() != self._owner:
            raise GoneError("a process that the solution has started")
        with self._lock:
            self.send(message)
            return self.receive()

    def send(self, message: object) -> None:
        """Send a message. Raises `GoneError`."""
        # A half of a pair, as in the name of a file that is no UTF-8, is no text for others.
        data = _encode(message).encode("utf-8", "replace")
        try:
            _send_all(self._socket, len(data).to_bytes(4) + data)
        except OSError as error:
            raise GoneError(str(error)) from None

    def receive(self) -> Any:
        """Receive a message. Raises `GoneError` or `ProtocolError`."""
        size = int.from_bytes(self._exactly(4))
        if size > MOST:
            raise ProtocolError(f"a message of {size} bytes")
        try:
            return _decode(self._exactly(size).decode())
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"a message that is no JSON: {error}") from None

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor of this end."""
        return self._socket.fileno()

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = _receive(self._socket, min(size - len(parts), 1 << 20))
            except TimeoutError:
                raise GoneError("no response in time") from None
            except OSError as error:
                raise GoneError(str(error)) from None
            if not part:
                raise GoneError("the connection was closed")
            parts += part
        return bytes(parts)

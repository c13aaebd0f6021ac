"""The solution's side: replies and errors that a spec has made, made anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from typing import Any

import httpx


class _Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that breaks off."""

    def __init__(self, pieces: list[bytes], error: Exception) -> None:
        self._pieces = pieces
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        raise self._error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        raise self._error


def made_error(parts: list[Any]) -> Exception:
    """The exception that a spec has made: its module, its type and its arguments."""
    module, name, arguments = parts
    made: Exception = getattr(import_module(module), name)(*arguments)
    return made


def made_reply(said: dict[str, Any]) -> httpx.Response | Exception:
    """The reply of a service, as the process of the specs has told it."""
    broken = said["broken"]
    error: Exception | None = None
    if broken is not None:
        error = made_error(broken)
    if error is not None and said["status"] is None:
        return error
    headers = [(bytes(name), bytes(value)) for name, value in said["headers"]]
    if error is not None:
        body = _Pieces(said["pieces"], error)
        return httpx.Response(said["status"], headers=headers, stream=body)
    content = b"".join(said["pieces"])
    return httpx.Response(said["status"], headers=headers, content=content)

"""The connections of an `httpx.AsyncClient`: a client has no more calls under way than these."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from weakref import WeakKeyDictionary

import httpcore
import httpx

from dojo.harness.holds import Hold

CONNECTIONS = "dojo.connections"


class _Connections:
    """The connections of one `httpx.AsyncClient`, each of which is one call's at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = asyncio.Semaphore(most)
        self._kept = 0
        self._limited: set[asyncio.Timeout] = set()

    async def take(self, seconds: float | None) -> None:
        """Take one of them as soon as it is free; `seconds` limits the wait for it."""
        async with asyncio.timeout(seconds) as limit:
            if seconds is not None:
                self._limited.add(limit)
                self._let_limits_run_out()
            try:
                await self._free.acquire()
            finally:
                self._limited.discard(limit)

    def give_back(self) -> None:
        """Leave one of them to the next call."""
        self._free.release()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """A spec holds the call that has one of them."""
        self._kept += 1
        self._let_limits_run_out()
        try:
            yield
        finally:
            self._kept -= 1

    def _let_limits_run_out(self) -> None:
        """A hold on all of them is longer than any limit of the wait for one of them."""
        if self._kept == self._most:
            for limit in self._limited:
                limit.reschedule(0.0)


_known: WeakKeyDictionary[httpcore.AsyncConnectionPool, _Connections] = WeakKeyDictionary()


@asynccontextmanager
async def connection_for(
    request: httpx.Request, pool: httpcore.AsyncConnectionPool
) -> AsyncIterator[None]:
    """A connection of the pool for a request, as soon as one is free. Raises `PoolTimeout`."""
    connections = _known.get(pool)
    if connections is None:
        most = vars(pool).get("_max_connections", sys.maxsize)
        connections = _known[pool] = _Connections(most)
    request.extensions[CONNECTIONS] = connections
    seconds = (request.extensions.get("timeout") or {}).get("pool")
    try:
        await connections.take(seconds)
    except TimeoutError:
        raise httpx.PoolTimeout("", request=request) from None
    try:
        yield
    finally:
        connections.give_back()


def kept(request: httpx.Request, hold: Hold) -> AbstractContextManager[None]:
    """What a hold stops keeps its connection."""
    connections: _Connections | None = request.extensions.get(CONNECTIONS)
    if connections is None or hold.released or hold.reached >= hold.limit:
        return nullcontext()
    return connections.kept()

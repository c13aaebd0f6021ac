"""The client that specs send their requests with."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import httpx

from dojo.harness import spawned
from dojo.harness.added_routes import AddedRoutes, Step
from dojo.harness.asgi import App
from dojo.harness.exchange import Exchange
from dojo.harness.holds import SECONDS, held, until
from dojo.harness.response import Response
from dojo.harness.timeline import Timeline

PATIENCE = 0.4


class Client:
    """A client of an app: each request is an exchange of its own.

    `httpx` builds the requests. `get`, `post` and `request` return when the background tasks have
    ended; `responded`, `in_flight` and `begin` let a spec look at the world before that.
    """

    __slots__ = (
        "_patience",
        "_routes",
        "app",
        "exchanges",
        "numbers",
        "state",
        "timeline",
    )

    def __init__(self, app: App, timeline: Timeline) -> None:
        self.app = app
        self.timeline = timeline
        self.numbers = itertools.count(1)
        self.state: dict[str, Any] = {}
        self.exchanges: list[Exchange] = []
        self._patience = PATIENCE
        self._routes = AddedRoutes()

    def begin(
        self,
        method: str,
        url: str,
        *,
        stop_at_response: bool = False,
        crashes: bool = False,
        pieces: Sequence[bytes] | None = None,
        leaves_after: int = 0,
        pauses_after: int = 0,
        **content: Any,
    ) -> Exchange:
        """Start an exchange, and do not wait for it.

        Args:
            method: The HTTP method.
            url: The path and the query.
            stop_at_response: Whether it stops at its response, until `release`, `until_finished`,
                `finish` or `finish_what_can`.
            crashes: Whether the app may raise.
            pieces: The body in several pieces, each of which the app gets by itself; more than one
                come without a Content-Length.
            leaves_after: The number of pieces of the response after which the client goes away;
                with 0 it stays.
            pauses_after: The number of pieces of the response after which the client reads no
                further, until `release`, `until_finished` or `finish`.
            content: What `httpx.Request` takes: `json`, `params`, `data`, `files`, `headers`.
        """
        if pieces is not None:
            content["content"] = b"".join(pieces)
        request = httpx.Request(method, f"http://testserver{url}", **content)
        if pieces is not None and len(pieces) > 1:
            # As clients do that do not know yet how much there will be.
            request.headers.pop("content-length", None)
            request.headers["transfer-encoding"] = "chunked"
        exchange = self.new_exchange(
            request,
            crashes=crashes,
            pieces=pieces,
            leaves_after=leaves_after,
            pauses_after=pauses_after,
        )
        self.exchanges.append(exchange)
        exchange.start(stop_at_response=stop_at_response)
        return exchange

    def after_restart(self, app: App) -> Client:
        """A client of the app as it is after a restart, which goes on counting the exchanges."""
        again = type(self)(app, self.timeline)
        again.numbers, again.exchanges = self.numbers, self.exchanges
        return again

    def new_exchange(self, request: httpx.Request, **how: Any) -> Exchange:
        """An exchange that is not begun yet."""
        return Exchange(self, request, **how)

    async def request(self, method: str, url: str, **options: Any) -> Response:
        """Run an exchange from its request to its end, tasks included; its response."""
        return (await self.begin(method, url, **options).until_finished()).response

    async def get(self, url: str, **options: Any) -> Response:
        """`request` with the method GET."""
        return await self.request("GET", url, **options)

    async def post(self, url: str, **options: Any) -> Response:
        """`request` with the method POST."""
        return await self.request("POST", url, **options)

    @asynccontextmanager
    async def in_flight(self, method: str, url: str, **options: Any) -> AsyncIterator[Exchange]:
        """Run an exchange beside the block.

        After the block it has finished, and so have all exchanges that the block began. The app
        gets the request at the first `await` of the block: a hold that the block begins with is
        there before it.
        """
        before = len(self.exchanges)
        yield self.begin(method, url, **options)
        await self.finish(self.exchanges[before:])

    @asynccontextmanager
    async def responded(self, method: str, url: str, **options: Any) -> AsyncIterator[Exchange]:
        """Stop an exchange at its response for the length of the block.

        It has finished after the block.
        """
        exchange = self.begin(method, url, stop_at_response=True, **options)
        await exchange.until_responded()
        try:
            yield exchange
        finally:
            exchange.release()
        await exchange.until_finished()

    async def all_responded(self, exchanges: Iterable[Exchange]) -> list[Exchange]:
        """Wait for the response of each exchange."""
        return [await exchange.until_responded() for exchange in list(exchanges)]

    async def finish(self, exchanges: Iterable[Exchange]) -> None:
        """Let exchanges go on to their ends, one after the other."""
        for exchange in exchanges:
            await exchange.until_finished()

    async def finish_what_can(self, exchanges: list[Exchange]) -> None:
        """Let exchanges go on until only those are left that are held, or wait for a held one.

        It waits at most `PATIENCE` seconds for the next one to finish. Where that was in vain once,
        it waits a tenth of that from then on.
        """
        for exchange in exchanges:
            exchange.release()

        def under_way() -> int:
            return sum(not e.finished and held(e.number) is None for e in exchanges)

        left = under_way()

        def fewer() -> bool:
            return under_way() < left

        while left and await until(fewer, seconds=self._patience):
            left = under_way()
        if left:
            self._patience = PATIENCE / 10

    def limit_worker_threads(self, number: int) -> None:
        """Have the server run plain functions in at most so many worker threads at a time.

        Usually there are 40. Each event loop has a limit of its own, so it ends with the spec.
        """
        anyio.to_thread.current_default_thread_limiter().total_tokens = number

    async def until(self, condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
        """Wait until something is so, at most so long in real time; whether it is."""
        return await until(condition, seconds)

    def add_route(self, path: str, steps: Sequence[Step] = (), **more: Any) -> None:
        """Add a route to the app; the arguments are those of `AddedRoutes.add`."""
        self._routes.add(self.app, path, steps, **more)  # type: ignore[arg-type]

    def let_go(self, gate: str) -> None:
        """Let go on what waits at a gate in a route that was added."""
        self._routes.let_go(gate)

    async def give_turns(self) -> None:
        """Let everything that does not wait for anything do what it is about to do."""
        for exchange in self.exchanges:
            if not exchange.finished:
                await spawned.settle(exchange.state)

    async def close(self) -> None:
        """End what is still under way: let it go on for a moment, then cancel it."""
        for exchange in self.exchanges:
            exchange.release()
        if not await until(lambda: all(e.finished for e in self.exchanges), seconds=0.5):
            for exchange in self.exchanges:
                await exchange.cancel()

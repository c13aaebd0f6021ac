"""Routes that a spec adds to an app: what their endpoint and its task do, as plain data."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from fastapi import FastAPI, Response
from starlette.background import BackgroundTask

from dojo.doubles.clock import clock_in_force
from dojo.harness.asgi import Receive, Scope, Send

Step = tuple[Literal["tick", "let pass", "wait for", "raise"], float | str]


class AddedRoutes:
    """The routes that one spec has added, and the gates that they wait at."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}

    def add(
        self,
        app: FastAPI,
        path: str,
        steps: Sequence[Step] = (),
        *,
        task: Sequence[Step] | None = None,
        pieces: Sequence[str] = (),
        plain: bool = False,
    ) -> None:
        """Add a route for GET, whose endpoint does `steps`.

        Args:
            app: The app.
            path: The path.
            steps: What the endpoint does: put on the wall clock (`tick`) or all clocks
                (`let pass`) by seconds, `wait for` a gate, `raise` a text.
            task: What its background task does.
            pieces: The pieces that its body goes out in.
            plain: Whether the endpoint is a plain function, which does nothing.
        """

        async def work() -> None:
            await self._do(task or ())

        def fail() -> None:
            raise RuntimeError(str((task or ())[0][1]))

        in_thread = task is not None and [kind for kind, _ in task] == ["raise"]

        async def endpoint() -> Any:
            await self._do(steps)
            if pieces:
                return _InPieces(pieces)
            if task is not None:
                return Response(background=BackgroundTask(fail if in_thread else work))
            return None

        app.get(path)((lambda: None) if plain else endpoint)

    def let_go(self, gate: str) -> None:
        """Let go on what waits at a gate."""
        self._gate(gate).set()

    async def _do(self, steps: Sequence[Step]) -> None:
        clock = clock_in_force()
        for kind, value in steps:
            if kind == "wait for":
                await self._gate(str(value)).wait()
            elif kind == "raise":
                raise RuntimeError(str(value))
            elif clock is not None:
                (clock.tick if kind == "tick" else clock.let_pass)(float(value))

    def _gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())


class _InPieces(Response):
    """A response whose body goes out in pieces."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self._pieces = [piece.encode() for piece in pieces]
        super().__init__(b"".join(self._pieces))

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        for piece in self._pieces:
            more = piece is not self._pieces[-1]
            await send({"type": "http.response.body", "body": piece, "more_body": more})

"""Controls: what must fail, in the same process and by the same specs as the answer.

A control does what the answer does, and has nothing to show for it: the answer's module is loaded,
its app gets the request, and what it sends is thrown away. The client then gets what it gets of a
stub: no answer at all. Whatever an answer does to be called right without being right, when it is
loaded, when it is asked or in its tasks, it does in its control too; and a control that passes
gives it away.
"""

from __future__ import annotations

import asyncio
import contextlib

from dojo import holds
from dojo.exchange import App, Message, Receive, Scope, Send
from dojo.timeline import owner

PATIENCE = 0.3
ENDING = 1.0


class Decoy:
    """An app that runs `answer` for nothing, and then leaves its client without an answer."""

    def __init__(self, answer: App | None, stub: App) -> None:
        self._answer = answer
        self._stub = stub
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await (self._answer or self._stub)(scope, receive, send)
        if self._answer is not None:
            await self._for_nothing(self._answer, dict(scope), receive)
        raise NotImplementedError

    async def _for_nothing(self, answer: App, scope: Scope, receive: Receive) -> None:
        """Let an app do what it would do, as long as nothing holds it up."""

        async def swallow(message: Message) -> None:
            """Send nothing."""

        async def run() -> None:
            with contextlib.suppress(Exception, SystemExit):
                await answer(scope, receive, swallow)

        moments = owner()
        task = asyncio.create_task(run())
        self._tasks.append(task)
        await holds.until(
            lambda: task.done() or (moments is not None and holds.held(moments.number) is not None),
            seconds=PATIENCE,
        )

    async def end(self) -> None:
        """Let what was held up come to its end here, and not in the next spec."""
        holds.release_all()
        await holds.until(lambda: all(task.done() for task in self._tasks), seconds=ENDING)
        for task in self._tasks:
            task.cancel()

"""Startup and shutdown of an app, as a server drives them.

ASGI: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from dojo.harness.asgi import App
from dojo.harness.time_limit import during


@asynccontextmanager
async def running(app: App, state: dict[str, Any]) -> AsyncIterator[None]:
    """Start `app` up, and shut it down after the block.

    What it leaves in its state goes into `state`. Raises `AssertionError` with the app's own words
    where it cannot start.
    """
    events: asyncio.Queue[str] = asyncio.Queue()
    replies: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()

    async def receive() -> MutableMapping[str, Any]:
        return {"type": f"lifespan.{await events.get()}"}

    scope = {
        "type": "lifespan",
        "asgi": {"version": "3.0", "spec_version": "2.0"},
        "state": state,
    }

    async def run() -> None:
        try:
            await app(scope, receive, replies.put)
        except Exception as error:  # noqa: BLE001
            await replies.put({"type": "raised", "message": f"{type(error).__name__}: {error}"})
        else:
            await replies.put({"type": "ended"})

    task = asyncio.create_task(run())
    # What it ends with is looked at below, unless the spec has been broken off.
    task.add_done_callback(lambda task: task.cancelled() or task.exception())
    await events.put("startup")
    with during("the start-up of the app"):
        reply = await replies.get()
    if reply["type"] not in ("lifespan.startup.complete", "ended"):
        said = str(reply.get("message", "")).strip().rpartition("\n")[2]
        raise AssertionError(f"the app does not start up: {said}")
    try:
        yield
    finally:
        await events.put("shutdown")
        with during("the shutdown of the app"):
            await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

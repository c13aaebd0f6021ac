"""Where a solution is at work, or waits, at this moment."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple

from dojo.harness import frames


class Place(NamedTuple):
    """A line of a solution that was running or waiting, and how."""

    how: str
    file: str
    line: int

    def __str__(self) -> str:
        if not self.line:
            return self.how
        return f"{self.how} at {frames.line_at((self.file, self.line))}"


NOWHERE = Place("nothing of the solution was running: something waits for what never comes", "", 0)


def where_it_is(frame: FrameType | None = None) -> tuple[str, int]:
    """A sentence about the innermost place in a solution that is still running, and its line."""
    place = place_of(frame)
    return str(place), place.line


def place_of(frame: FrameType | None = None) -> Place:
    """The innermost place in a solution that is still running, or waiting."""
    return next(_places(frame), NOWHERE)


def _places(frame: FrameType | None) -> Iterator[Place]:
    for place in frames.places_in(frame):
        yield Place("it kept the main thread, and with it the event loop, busy", *place)
    main = threading.main_thread().ident
    for ident, top in frames.of_threads().items():
        if ident != main:
            for place in frames.places_in(top):
                yield Place("a worker thread was still", *place)
    for task in _tasks():
        waiting = [p for f in _awaiting(task.get_coro()) for p in frames.places_in(f)]
        for place in waiting[-1:]:
            yield Place("a coroutine was still waiting", *place)


def _awaiting(awaited: Any) -> Iterator[FrameType]:
    """The frames of a coroutine that waits, from the outermost inwards."""
    for _ in range(200):
        if awaited is None:
            return
        for kind in ("cr", "ag", "gi"):
            frame = getattr(awaited, f"{kind}_frame", None)
            if frame is not None:
                yield frame
                inner = "gi_yieldfrom" if kind == "gi" else f"{kind}_await"
                awaited = getattr(awaited, inner, None)
                break
        else:
            # `async for` and `async with` wait for a step of a generator, which has no name.
            steps = gc.get_referents(awaited)
            awaited = next((step for step in steps if hasattr(step, "ag_frame")), None)


def _tasks() -> set[asyncio.Task[Any]]:
    try:
        return asyncio.all_tasks()
    except RuntimeError:
        return set()

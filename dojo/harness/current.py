"""Which timeline, and which exchange, the code that asks belongs to."""

from __future__ import annotations

import asyncio
import threading
import weakref
from contextvars import ContextVar
from dataclasses import dataclass
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR
from types import FrameType
from typing import TYPE_CHECKING, Any

from dojo.harness.frames import callers, is_learners, is_spec, module_of

if TYPE_CHECKING:
    from dojo.harness.timeline import Timeline

POOLS = ("AnyIO worker thread", "asyncio_")
ENDPOINTS = (
    "fastapi.routing",
    "fastapi.dependencies",
    "fastapi.concurrency",
    "starlette.routing",
    "starlette._exception_handler",
)


@dataclass(eq=False)
class ExchangeState:
    """One exchange as observers and doubles see it: its number, and whether it has responded.

    What they see belongs to the exchange whose context it happens in (`here`).
    """

    number: int
    name: str = ""
    responded: bool = False


origin: ContextVar[str] = ContextVar("origin", default="")
here: ContextVar[ExchangeState | None] = ContextVar("here", default=None)
_threads: dict[int, ExchangeState] = {}
_tasks: weakref.WeakKeyDictionary[asyncio.Task[Any], ExchangeState] = weakref.WeakKeyDictionary()
_workers: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
_timeline: Timeline | None = None


def current_timeline() -> Timeline | None:
    """The timeline of the spec that runs now, if one does."""
    return _timeline


def use(timeline: Timeline | None) -> None:
    """Make `timeline` the one that observers and doubles write to."""
    global _timeline
    _timeline = timeline
    _threads.clear()


def current_exchange() -> ExchangeState | None:
    """The exchange that the calling code works for, if any.

    By its context, its thread, or the task that it is in: a context can be left. A worker that the
    lifespan has started works for the exchange that is in flight. Where there are several, nobody
    knows for which of them: number 0, which has responded when all of them have.
    """
    return bound() or _one_in_flight()


def bound() -> ExchangeState | None:
    """The exchange that has started the calling code, if one has."""
    return here.get() or _threads.get(threading.get_ident()) or _exchange_of_task()


def _exchange_of_task() -> ExchangeState | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return _tasks.get(task) if task is not None else None


def _one_in_flight() -> ExchangeState | None:
    in_flight = list(_timeline.in_flight) if _timeline is not None else []
    if not in_flight or not by_the_solution():
        return None
    if len(in_flight) == 1:
        return in_flight[0]
    return ExchangeState(0, responded=all(state.responded for state in in_flight))


def by_the_solution() -> bool:
    """Whether the calling code is a solution's, and no spec has called it."""
    thread = threading.current_thread()
    if thread in _workers or thread.name.startswith(POOLS):
        return True
    found = False
    for frame in callers():
        found = found or is_learners(frame)
        if found and is_spec(frame):
            return False
    return found


def in_middleware() -> bool:
    """Whether a middleware of a solution is at work on the event loop.

    That is code of a solution that was called by neither the routing nor a background task.
    """
    outermost = None
    for frame in callers():
        if is_learners(frame):
            outermost = frame
        elif outermost is not None:
            name = module_of(frame)
            if name.startswith(ENDPOINTS):
                return frame.f_code.co_name == "sender"
            # FastAPI's own middlewares, whose modules come and go, say nothing.
            if name.startswith("starlette."):
                return name != "starlette.background" and not _asks_for_a_piece(frame, outermost)
    return False


def in_stream() -> bool:
    """Whether the calling code makes a piece of a response's body, as the endpoint has said."""
    outermost = None
    for frame in callers():
        if is_learners(frame):
            outermost = frame
        elif outermost is not None and module_of(frame).startswith("starlette."):
            return _asks_for_a_piece(frame, outermost)
    return False


def _asks_for_a_piece(frame: FrameType, asked: FrameType) -> bool:
    """Whether a response asks what a solution has given it for the next piece of its body.

    What a middleware has put in the place of `send` is called by a response, too.
    """
    code = asked.f_code
    pieces = code.co_flags & (CO_GENERATOR | CO_ASYNC_GENERATOR)
    return module_of(frame) == "starlette.responses" and (
        bool(pieces) or code.co_name in ("__next__", "__anext__")
    )


def task_works_for(task: asyncio.Task[Any] | None, state: ExchangeState) -> None:
    """Say for which exchange a task works, whatever context it runs something in."""
    if task is not None:
        _tasks[task] = state


def work_for(state: ExchangeState | None) -> None:
    """Say for which exchange the calling thread works: a thread inherits no context."""
    if state is None:
        _threads.pop(threading.get_ident(), None)
    else:
        _threads[threading.get_ident()] = state


def solution_threads() -> list[threading.Thread]:
    """The threads that run now, and that a solution has started for itself and no exchange."""
    return [thread for thread in _workers if thread.is_alive()]


def works_for_the_app(thread: threading.Thread) -> None:
    """Say that a thread is the solution's, and no exchange's."""
    _workers.add(thread)

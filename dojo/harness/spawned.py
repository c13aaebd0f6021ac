"""Spawned work: the asyncio tasks, threads and executor jobs that a solution starts by itself.

It is watched for two reasons. Work that an endpoint starts may or may not come before the response:
at each `send` it gets its chance, so that a race is always lost where the spec looks. And nothing
may be left behind when the exchange has finished.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio.to_thread

from dojo.harness.current import (
    ExchangeState,
    bound,
    current_timeline,
)
from dojo.harness.frames import at, callers, is_learners, module_of, places_here, where
from dojo.harness.holds import clock, held_threads, real_pause, turns, until

PATIENCE = 0.3
STARTERS = ("anyio", "asyncio", "concurrent", "dojo", "threading")


@dataclass
class SpawnedJob:
    """Something an exchange started: what it is, where, and whether it has ended."""

    what: str
    where: str
    ended: Callable[[], bool]
    in_thread: bool


@dataclass
class SpawnedWork:
    """All that one exchange started."""

    state: ExchangeState
    borrowed: int = 0
    jobs: list[SpawnedJob] = field(default_factory=list)
    may_go: threading.Event = field(default_factory=threading.Event)

    def add(self, what: str, ended: Callable[[], bool], *, in_thread: bool) -> None:
        """Note that something was started; `ended` says whether it has ended."""
        self.jobs.append(SpawnedJob(what, _where(), ended, in_thread))

    def left_behind(self) -> list[str]:
        """The work that has not ended, in words."""
        return [f"{s.what} started {s.where}" for s in self.jobs if not s.ended()]


_work_of: dict[int, SpawnedWork] = {}


def expect(state: ExchangeState) -> None:
    """Begin to watch an exchange; to be called on its event loop."""
    _work_of[state.number] = SpawnedWork(state, _borrowed())


def forget() -> None:
    """Stop watching, once what runs in threads has ended.

    It must not go on into the next spec; 0.3 s are given to it.
    """
    for work in _work_of.values():
        work.may_go.set()
    end = clock() + PATIENCE
    while any(s.in_thread and not s.ended() for b in _work_of.values() for s in b.jobs):
        if clock() > end:
            break
        real_pause(0.001)
    _work_of.clear()


def left_behind(state: ExchangeState) -> list[str]:
    """The work that the exchange has started and left running, in words.

    To be asked in the very turn in which the app has returned.
    """
    work = _work_of[state.number]
    left = work.left_behind()
    work.may_go.set()
    return left


async def settle(state: ExchangeState) -> None:
    """Give all that the exchange has started the chance to do its work now.

    Some turns for tasks and, only where threads are at work for it, as long as they need, 0.3 s at
    most.
    """
    await turns()
    work = _work_of[state.number]
    work.may_go.set()
    # Asked for in a task: where sniffio is installed, a callback of the loop cannot ask.
    limiter = anyio.to_thread.current_default_thread_limiter()

    def at_rest() -> bool:
        busy = any(job.in_thread and not job.ended() for job in work.jobs)
        return not busy and limiter.borrowed_tokens <= max(work.borrowed, held_threads())

    if not at_rest():
        await until(at_rest, PATIENCE)
        await turns()
    work.may_go.clear()


def _borrowed() -> int:
    return anyio.to_thread.current_default_thread_limiter().borrowed_tokens


def _where() -> str:
    places = places_here()
    return f"at {at(places[0])}" if places else "by a library"


def started_by(what: str) -> str:
    """The thing that a solution starts itself, in words; empty where a library starts it."""
    for frame in callers():
        if is_learners(frame):
            return f"{what} that was started at {at(where(frame))}"
        if module_of(frame).partition(".")[0] not in STARTERS:
            break
    return ""


def current_work() -> SpawnedWork | None:
    """The work of the exchange that has started the calling code, if one has."""
    state = bound() if current_timeline() else None
    return _work_of.get(state.number) if state else None

"""The clock of a spec: time that stands still, and sleeps that only move it on.

freezegun freezes the wall clock. Stop-watches (`time.monotonic`, `time.perf_counter`) go on:
freezegun freezes them in coroutines and not in worker threads, and a difference between the two
would make no sense. A spec can put them on together with the wall clock (`Clock.let_pass`), so that
whatever a solution measures with says the same.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import anyio

from dojo.harness.current import current_exchange, current_timeline
from dojo.harness.frames import callers
from dojo.harness.holds import Hold, standing, turns
from dojo.harness.loop_time import put_loops_on
from dojo.harness.running import place_of
from dojo.harness.time_limit import WaitsForItselfError

# Sleeps in a row that cost nothing; what each one after them really takes, so that other threads
# get on; and how many there may be while nothing happens, if they are this long together. Two
# minutes in short naps are no mistake.
AT_ONCE = 500
PAUSE = 0.001
IN_VAIN = 1_000
LONG = 200.0
START = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
STOP_WATCHES = (
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "clock_gettime",  # this and the next are not on Windows
    "clock_gettime_ns",
)

_put_on = 0.0


def stop_watch(real: Callable[[], Any]) -> Callable[[], Any]:
    """In place of a stop-watch of `time`: one that a spec can put on."""
    unit = 1_000_000_000 if real.__name__.endswith("_ns") else 1.0

    @functools.wraps(real)
    def read(*clock: int) -> Any:
        return real(*clock) + type(unit)(_put_on * unit)

    return read


_real_time_sleep = time.sleep
_real_asyncio_sleep = asyncio.sleep
_real_anyio_sleep = anyio.sleep
_clock: Clock | None = None
_slept = 0.0
_in_real_time = False


def run_in_real_time() -> None:
    """From now on sleeps take their time, and are only noted: no spec is run in this process."""
    global _in_real_time
    _in_real_time = True


class Clock:
    """Frozen time.

    `now` moves only by `tick`, or by the sleeps of a solution.
    """

    __slots__ = (
        "_freezer",
        "_hold",
    )

    def __init__(self, freezer: Any) -> None:
        self._freezer = freezer
        self._hold: Hold | None = None

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return self._freezer.time_to_freeze.replace(tzinfo=UTC)  # type: ignore[no-any-return]

    def tick(self, seconds: float) -> None:
        """Move the wall clock on."""
        self._freezer.tick(timedelta(seconds=seconds))

    def let_pass(self, seconds: float) -> None:
        """Put on the wall clock, all stop-watches, and the clocks of event loops."""
        global _put_on
        self.tick(seconds)
        put_loops_on(seconds)
        _put_on += seconds

    def hold(self, limit: int = 1) -> Hold:
        """Hold the next sleeps, before the time is moved on."""
        self._hold = Hold("the sleep of the task", limit)
        return self._hold

    def held(self) -> Hold | None:
        """The hold on the next sleep, if a spec has made one."""
        return self._hold


@contextmanager
def frozen_clock() -> Iterator[Clock]:
    """Freeze the time at `START`.

    Load the solution before: a model looked up while frozen fails.
    """
    global _clock
    import pydantic.v1  # noqa: F401  (FastAPI imports it with the first route, and that fails while frozen)
    from freezegun import config, configure, freeze_time

    # freezegun shows the real time to whatever `threading` called: to each task in a worker thread.
    ignored = [name for name in config.DEFAULT_IGNORE_LIST if name != "threading"]
    configure(default_ignore_list=ignored)
    _look_at_changed_modules_only()
    freezer = freeze_time(START, real_asyncio=True, ignore=["_pytest"])
    watches = {name: getattr(time, name) for name in STOP_WATCHES if hasattr(time, name)}
    frozen = freezer.start()
    _restart(watches, freezer)
    _clock = Clock(frozen)
    try:
        yield _clock
    finally:
        _clock = None
        freezer.stop()
        _restart(watches)


@functools.cache
def _look_at_changed_modules_only() -> None:
    """Keep freezegun from reading the names of all modules whenever the time is frozen.

    It does so to find out which of them have changed. That their number has tells as much here, and
    costs a tenth of the time.
    """
    from freezegun import api

    name = "_get_cached_module_attributes"
    look = vars(api).get(name)
    if look is not None:
        setattr(api, name, _remembering(look))


def _remembering(look: Callable[[ModuleType], Any]) -> Callable[[ModuleType], Any]:
    known: WeakKeyDictionary[ModuleType, tuple[int, Any]] = WeakKeyDictionary()

    def remember(module: ModuleType) -> Any:
        if type(module) is not ModuleType:
            return look(module)
        size, found = known.get(module, (-1, None))
        if size != len(module.__dict__):
            found = look(module)
            known[module] = len(module.__dict__), found
        return found

    return remember


def clock_in_force() -> Clock | None:
    """The clock of the spec that runs now, if it has one."""
    return _clock


class Zone:
    """The time zone of the machine, which is not the one of the orders."""

    __slots__ = ()

    @contextmanager
    def foreign(self, hours: int = 9) -> Iterator[None]:
        """Be on a machine whose own time zone is so many hours ahead of UTC."""
        before = os.environ.get("TZ")
        _set_zone(f"ZONE{-hours:+d}")  # POSIX counts the other way round
        try:
            yield
        finally:
            _set_zone(before)


def _set_zone(zone: str | None) -> None:
    if zone is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = zone
    time.tzset()


def _restart(watches: dict[str, Any], freezer: Any = None) -> None:
    """Undo what freezegun did to stop-watches, in `time` and where they were imported by name."""
    for name, watch in watches.items():
        setattr(time, name, watch)
    for module, attribute, original in freezer.undo_changes if freezer is not None else ():
        if getattr(original, "__name__", None) in watches:
            setattr(module, attribute, original)


def _note(seconds: float, *, blocking: bool) -> float:
    """Note a sleep; gives the seconds that it really takes.

    Raises `WaitsForItselfError` where one sleep follows another and nothing else happens.
    """
    global _slept
    timeline = current_timeline()
    if timeline is None:
        return 0.0
    timeline.record("sleep", f"{seconds:g} s", blocking=blocking)
    if _in_real_time:
        return seconds
    _slept = seconds if timeline.sleeps <= 1 else _slept + seconds
    in_vain = timeline.sleeps >= (IN_VAIN if _slept >= LONG else 3 * IN_VAIN)
    if in_vain and standing() is None:
        raise WaitsForItselfError(timeline.sleeps, place_of(next(callers())))
    return PAUSE if timeline.sleeps > AT_ONCE else 0.0


def _is_the_solutions() -> bool:
    return current_timeline() is not None and current_exchange() is not None


def time_sleep(seconds: float, /) -> None:
    """In place of `time.sleep`."""
    if not _is_the_solutions():
        return _real_time_sleep(seconds)
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    pause = _note(seconds, blocking=True)
    if pause:
        _real_time_sleep(pause)
    if _clock is not None:
        hold = _clock.held()
        if hold is not None:
            hold.stop_here()
        _clock.tick(seconds)


async def asyncio_sleep(delay: float, result: Any = None) -> Any:
    """In place of `asyncio.sleep`."""
    if delay <= 0 or not _is_the_solutions():
        return await _real_asyncio_sleep(delay, result)
    await _pass(delay)
    return result


async def anyio_sleep(delay: float) -> None:
    """In place of `anyio.sleep`."""
    if delay <= 0 or not _is_the_solutions():
        return await _real_anyio_sleep(delay)
    await _pass(delay)


async def _pass(seconds: float) -> None:
    pause = _note(seconds, blocking=False)
    if pause:
        await _real_asyncio_sleep(pause)
    if _clock is not None:
        hold = _clock.held()
        if hold is not None:
            await hold.stop_here_async()
        _clock.tick(seconds)
    await turns(2)

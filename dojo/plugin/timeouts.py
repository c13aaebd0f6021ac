"""The time limit of a spec, and where a solution was when it ran out.

pytest-timeout says how long the limit is; this module says what happens at the end of it. The
alarm is raised in a frame of the solution, or the tasks of the event loop are cancelled, and
nothing else: never in pytest, in the harness or in a fixture, whose work it would break off in the
middle. Whatever error a spec then ends with, it is reported as the limit's.

Time in which the process was ready to run and waited for a processor does not count, as Linux tells
it, so that a busy machine makes nobody late; four times the limit on the wall is the most.
Elsewhere it is the time on the wall.
"""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures.thread
import contextlib
import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import pytest
from _pytest.outcomes import OutcomeException

from dojo.harness import debugger, frames

SECONDS = 5.0
AT_MOST = 4  # times the limit, on the wall
TICK = 0.25
SOON = 0.005
STUBBORN = 8  # rings after which the event loop is stopped
LAST_WORDS = 40  # rings after which the process is

# Bound here, before anybody freezes or replaces the ones in their modules.
_clock = time.monotonic
_pause = threading.Event().wait


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


class TimeLimitError(BaseException):
    """A spec did not finish in time.

    Not an `Exception`, so that a solution does not swallow it.
    """

    def __init__(self, seconds: float, place: Place = NOWHERE, what: str = "it") -> None:
        super().__init__(seconds, place, what)
        self.seconds = seconds
        self.place = place
        self.what = what

    @property
    def where(self) -> str:
        return str(self.place)

    @property
    def line(self) -> int:
        return self.place.line

    def __str__(self) -> str:
        return f"{self.what} did not finish within {self.seconds:g} s: {self.place}"


class WaitsForItselfError(TimeLimitError):
    """A solution sleeps again and again, and nothing else happens."""

    def __init__(self, times: int, place: Place) -> None:
        super().__init__(0.0, place._replace(how="it sleeps"))
        self.times = times

    def __str__(self) -> str:
        return (
            f"it slept {self.times:,} times without anything happening, so it waits for itself: "
            f"{self.place}"
        )


class DidNotEndError(AssertionError):
    """An exchange was given up."""


class FinalizerError(AssertionError):
    """What a finalizer ended with that would have kept the others from running."""


def is_late(error: BaseException | None) -> bool:
    """Whether a spec ended with `error` because something did not end."""
    return isinstance(error, TimeLimitError | DidNotEndError) or bool(getattr(error, "late", False))


class Alarm:
    """The limit of one spec: it rings when the time is over, and until the spec has ended."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        self.reported = False
        self.round = 0
        self.start()

    def start(self) -> None:
        """Begin to count anew."""
        self.round += 1
        self.rings = 0
        self.overtime: TimeLimitError | None = None
        self._began = _clock()
        self._starved = starved()
        self._silent = debugger.active()
        _ring_in(self.seconds)

    def left(self) -> float:
        """How many seconds are left."""
        passed = _clock() - self._began
        if passed >= AT_MOST * self.seconds:
            return 0.0
        return self.seconds - passed + max(0.0, starved() - self._starved)

    def ring(self, frame: FrameType | None) -> None:
        """Called in the main thread, wherever it is.

        Raises `TimeLimitError` where that breaks nothing but the solution.
        """
        if self._silent or debugger.active():
            self._silent = True
            _ring_in(0)
            return
        left = 0.0 if self.overtime else self.left()
        if left > SOON:
            _ring_in(left)
            return
        if self.overtime is None:
            self.overtime = TimeLimitError(self.seconds, place_of(frame), _what)
        self.rings += 1
        if self.rings > LAST_WORDS:
            _last_words(f"{self.name} swallows its own time limit; stopping: {self.overtime}")
        self._wake_the_loop()
        stop_threads()
        safe = self._is_safe(frame)
        _ring_in(TICK if safe is not None else SOON)
        if safe:
            raise TimeLimitError(self.seconds, self.overtime.place, self.overtime.what)

    def _wake_the_loop(self) -> None:
        loop = asyncio._get_running_loop()
        if loop is None:
            return
        round_ = self.round

        def cancel() -> None:
            # It may come late, when the loop is run again for something else.
            if _alarm is self and self.round == round_:
                for task in asyncio.all_tasks(loop):
                    task.cancel()
                    if self.rings > STUBBORN:
                        abandon(task)
                if self.rings > STUBBORN:
                    loop.stop()

        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(cancel)

    def _is_safe(self, frame: FrameType | None) -> bool | None:
        """Whether the main thread is in code that may be broken off; None says: in a moment."""
        inside = frame
        ours = False
        while frame is not None:
            name = str(frame.f_globals.get("__name__", ""))
            if name.startswith("katas.k"):
                return True
            if name == "dojo.harness.timeline" or name.startswith("dojo.grading"):
                return None
            if name in ("weakref", "_weakrefset") or frame.f_code.co_name in UNHEARD:
                return None
            if name.startswith("importlib._bootstrap"):
                # Half an import would be found by the specs after this one.
                if _clock() - self._began < AT_MOST * self.seconds + 2:
                    return None
            elif name == "asyncio.events" and frame.f_code.co_name == "_run":
                # Something of a library that keeps the loop busy, with none of the solution's
                # frames: the event loop can take it.
                return frame is not inside and not ours and self.rings > 1
            elif name.startswith(("_pytest", "pluggy", "pytest")):
                return False
            ours = ours or name.startswith("dojo.")
            frame = frame.f_back
        return False


# What Python calls when something is thrown away: no exception comes out of it, it is only
# reported. The second is SQLAlchemy's.
UNHEARD = ("__del__", "_collection_gced")
_alarm: Alarm | None = None
_what = "it"


def rung() -> TimeLimitError | None:
    """The error of the alarm that has rung in this spec, if it has: what an error came of may be
    lost on its way through a library."""
    return _alarm.overtime if _alarm is not None else None


@contextmanager
def during(what: str) -> Iterator[None]:
    """Say what it is that does not finish, should the limit run out in the block."""
    global _what
    before, _what = _what, what
    try:
        yield
    finally:
        _what = before


def starved() -> float:
    """For how many seconds threads of this process have been ready to run, and did not."""
    total = 0
    try:
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                file = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY)
                try:
                    total += int(os.read(file, 100).split()[1])
                finally:
                    os.close(file)
    except OSError:
        return 0.0
    return total / 1e9


async def give_up_tasks(before: set[asyncio.Task[Any]]) -> None:
    """Cancel all tasks that were started since `before`, and leave those alone that will not end:
    whoever closes the loop would wait for them."""
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    for task in left:
        task.cancel()
    try:
        if left:
            await asyncio.wait(left, timeout=TICK)
    finally:
        for task in left:
            if not task.done():
                abandon(task)


def abandon(task: asyncio.Task[Any]) -> None:
    """Let a task that cannot be cancelled live for ever, unknown to its loop: it would protest at
    its end."""
    asyncio.tasks._unregister_task(task)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))


def _last_words(text: str) -> None:
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"\n{text}\n")
        sys.__stderr__.flush()
    os._exit(1)


# How it rings: by a signal, which also ends what waits in the system; where there is no such signal
# (Windows), by a thread that has the main thread look up.


def _rung(signum: int, frame: FrameType | None) -> None:
    if _alarm is not None:
        _alarm.ring(frame)


if hasattr(signal, "SIGALRM"):
    SIGNAL: int = signal.SIGALRM

    def _ring_in(seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds, TICK if seconds else 0)

else:  # pragma: no cover
    SIGNAL = signal.SIGTERM
    _due = float("inf")

    def _ring_in(seconds: float) -> None:
        global _due
        _due = _clock() + seconds if seconds else float("inf")

    def _ringer() -> None:
        global _due
        while True:
            _pause(SOON)
            if _clock() >= _due:
                _due = _clock() + TICK
                _thread.interrupt_main(SIGNAL)  # type: ignore[arg-type]

    threading.Thread(target=_ringer, name="dojo-limit", daemon=True).start()


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    global _alarm
    if not _is_ours(item):
        return None
    signal.signal(SIGNAL, _rung)
    _alarm = Alarm(item.nodeid, settings.timeout)
    return True


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool | None:
    global _alarm
    if not _is_ours(item):
        return None
    # The handler stays: what has rung by now and is not handled yet finds no alarm.
    _alarm = None
    _ring_in(0)
    return True


def _is_ours(item: pytest.Item) -> bool:
    main = threading.current_thread() is threading.main_thread()
    return main and item.get_closest_marker("dojo_limit") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    yield from _within_the_limit()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    yield from _within_the_limit()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    if _is_ours(item):
        _protect_finalizers(item)
        if _alarm is not None and _alarm.reported:
            _alarm.start()
    yield from _within_the_limit()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: Any
) -> Generator[None, Any, Any]:
    """A fixture that is broken off has failed, which pytest notes for an `Exception` only: the next
    spec would find it neither set up nor torn down."""
    try:
        return (yield)
    except (Exception, OutcomeException):
        raise
    except BaseException as error:
        key = fixturedef.cache_key(request)
        fixturedef.cached_result = (None, key, (error, error.__traceback__))
        raise


def pytest_enter_pdb() -> None:
    debugger.enter()


def _within_the_limit() -> Generator[None, None, None]:
    """Whatever a phase ends with once the alarm has rung, it ends with the alarm's error, once."""
    alarm = _alarm
    try:
        yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as error:
        if alarm is None or alarm.overtime is None:
            raise
        if is_late(error):
            alarm.reported = True
            raise
        if not alarm.reported:
            alarm.reported = True
            raise alarm.overtime.with_traceback(error.__traceback__) from None
        return
    if alarm is not None and alarm.overtime is not None and not alarm.reported:
        alarm.reported = True
        raise alarm.overtime


def _protect_finalizers(item: pytest.Item) -> None:
    """pytest leaves the finalizers out that come after one which raises no `Exception`."""

    def protected(finalizer: Any) -> Any:
        def run() -> None:
            try:
                finalizer()
            except (Exception, KeyboardInterrupt, OutcomeException):
                raise
            except BaseException as error:
                raise FinalizerError(
                    f"{type(error).__name__} when the app was shut down: "
                    "it must not end the process that it lives in"
                ) from error

        return run

    finalizers, _ = item.session._setupstate.stack.get(item, ([], None))
    finalizers[:] = [protected(finalizer) for finalizer in finalizers]


def where_it_is(frame: FrameType | None = None) -> tuple[str, int]:
    """A sentence about the innermost place in a solution that is still running, and its line."""
    place = place_of(frame)
    return str(place), place.line


def place_of(frame: FrameType | None = None) -> Place:
    """The innermost place in a solution that is still running, or waiting."""
    return next(_places(frame), NOWHERE)


def _in_solution(frame: FrameType | None) -> Iterator[tuple[str, int]]:
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith("katas.k"):
            yield frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back


def _places(frame: FrameType | None) -> Iterator[Place]:
    for place in _in_solution(frame):
        yield Place("it kept the main thread, and with it the event loop, busy", *place)
    main = threading.main_thread().ident
    for ident, top in sys._current_frames().items():
        if ident != main:
            for place in _in_solution(top):
                yield Place("a worker thread was still", *place)
    for task in _tasks():
        for place in [p for frame in _awaiting(task.get_coro()) for p in _in_solution(frame)][-1:]:
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


class ThreadStoppedError(SystemExit):
    """Ends a thread without a word."""


def stop_threads() -> None:
    """Ask every thread that runs a solution to end: an endless loop would eat the later specs'
    time."""
    for ident, top in sys._current_frames().items():
        if ident != threading.main_thread().ident and next(_in_solution(top), None):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(ident), ctypes.py_object(ThreadStoppedError)
            )


def give_up_threads(before: set[threading.Thread]) -> None:
    """Let nobody wait for threads that were started since `before` and do not end.

    They are asked to stop; one that waits in the system for ever lives as long as the process.
    """
    left = [thread for thread in threading.enumerate() if thread not in before]
    if not left:
        return
    stop_threads()
    for thread in left:
        # The interpreter joins the workers of all pools when it exits.
        concurrent.futures.thread._threads_queues.pop(thread, None)  # type: ignore[attr-defined]

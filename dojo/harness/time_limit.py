"""The time limit of a spec, and where a solution was when it ran out.

pytest-timeout says how long the limit is; this module says what happens at the end of it. The
alarm is raised in a frame of the solution, or the tasks of the event loop are cancelled, and
nothing else: never in pytest, in the harness or in a fixture, whose work it would break off in the
middle. Whatever error a spec then ends with, it is reported as the limit's.

Time in which the process was ready to run and waited for a processor does not count, as Linux tells
it, so that a busy machine makes no spec late; four times the limit on the wall is the most.
Elsewhere it is the time on the wall.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dojo.harness import debugger, frames
from dojo.harness.giving_up import abandon, stop_threads
from dojo.harness.running import NOWHERE, Place, place_of

SECONDS = 5.0
AT_MOST = 4  # times the limit, on the wall
TICK = 0.25
SOON = 0.005
STUBBORN = 8  # rings after which the event loop is stopped
LAST_WORDS = 40  # rings after which the process is

# Bound here, before anybody freezes or replaces the ones in their modules.
_clock = time.monotonic
_pause = threading.Event().wait


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
        """Where the solution was, in words."""
        return str(self.place)

    @property
    def line(self) -> int:
        """The line of the solution; 0 where it was nowhere."""
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

    def pause(self) -> None:
        """Count no more, until `go_on`."""
        self._paused = _clock()
        _ring_in(0)

    def go_on(self) -> None:
        """Count on."""
        self._began += _clock() - self._paused
        _ring_in(max(SOON, self.seconds - (_clock() - self._began)))

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
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
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

    def _is_safe(self, inside: FrameType | None) -> bool | None:
        """Whether the main thread is in code that may be broken off; None says: in a moment."""
        ours = False
        for frame in frames.outward(inside):
            name = frames.module_of(frame)
            if frames.is_learners(frame):
                return True
            if name in RECORDING or name.startswith("dojo.grading"):
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
        return False


# A record that is broken off would leave the timeline locked.
RECORDING = ("dojo.harness.current", "dojo.harness.timeline")
# What Python calls when something is thrown away: no exception comes out of it, it is only
# reported. The second is SQLAlchemy's.
UNHEARD = ("__del__", "_collection_gced")
_alarm: Alarm | None = None
_what = "it"


def rung() -> TimeLimitError | None:
    """The error of the alarm that has rung in this spec, if it has.

    A library may have raised an error of its own instead.
    """
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


def _last_words(text: str) -> None:
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"\n{text}\n")
        sys.__stderr__.flush()
    os._exit(1)


# How it rings: by a signal, which also ends what waits in the system; where there is no such signal
# (Windows), by a thread that has the main thread look up.


def _rung(_signum: int, frame: FrameType | None) -> None:
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


def watch(name: str, seconds: float) -> None:
    """Begin the limit of the spec `name`; to be called in the main thread."""
    global _alarm
    signal.signal(SIGNAL, _rung)
    _alarm = Alarm(name, seconds)


def stop_watching() -> None:
    """End the limit of the spec that runs now."""
    global _alarm
    # The handler stays: what has rung by now and is not handled yet finds no alarm.
    _alarm = None
    _ring_in(0)


def pause() -> None:
    """Do not count the time until `go_on`."""
    if _alarm is not None:
        _alarm.pause()


def go_on() -> None:
    """Count the time again."""
    if _alarm is not None:
        _alarm.go_on()


def current_alarm() -> Alarm | None:
    """The alarm of the spec that runs now, if it has a limit."""
    return _alarm

"""The time limit of a spec, and where a solution was when it ran out.

pytest-timeout measures the time; its two hooks let a plugin say what happens at the end of it.
Where there is no SIGALRM (Windows), pytest-timeout's own thread method is left in charge.
"""

from __future__ import annotations

import asyncio
import ctypes
import linecache
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

SECONDS = 5.0
LAST_WORDS = 3


class Overtime(BaseException):
    """A spec did not finish in time.

    Not an `Exception`, so that a solution does not swallow it.
    """

    def __init__(self, seconds: float, where: str, line: int) -> None:
        super().__init__(f"it did not finish within {seconds:g} s: {where}")
        self.where = where
        self.line = line


def supported() -> bool:
    return hasattr(signal, "SIGALRM")


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    if not _is_ours(item) or settings.method != "signal" or not supported():
        return None
    alarms = 0

    def ring(signum: int, frame: FrameType | None) -> None:
        nonlocal alarms
        alarms += 1
        where, line = where_it_is(frame)
        if alarms >= LAST_WORDS:
            sys.__stderr__ and sys.__stderr__.write(
                f"\n{item.nodeid} swallows its own time limit; stopping. It was {where}.\n"
            )
            os._exit(1)
        _stop_threads()
        raise Overtime(settings.timeout, where, line)

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, 1.0)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool | None:
    if not _is_ours(item) or not supported():
        return None
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return True


def _is_ours(item: pytest.Item) -> bool:
    return item.get_closest_marker("dojo_limit") is not None


def where_it_is(frame: FrameType | None = None) -> tuple[str, int]:
    """A sentence about the innermost place in a solution that is still running, and its line."""
    for found, how in _places(frame):
        file, line = found
        source = linecache.getline(file, line).strip()
        shown = f" `{source}`" if source else ""
        return f"{how} at {Path(file).name}:{line}{shown}", line
    return "nothing of the solution was running: something waits for what never comes", 0


def _places(frame: FrameType | None) -> Iterator[tuple[tuple[str, int], str]]:
    def in_answer(start: FrameType | None) -> Iterator[tuple[str, int]]:
        while start is not None:
            if start.f_globals.get("__name__", "").startswith("katas.k"):
                yield start.f_code.co_filename, start.f_lineno
            start = start.f_back

    for place in in_answer(frame):
        yield place, "it kept the main thread, and with it the event loop, busy"
    main = threading.main_thread().ident
    for ident, top in sys._current_frames().items():
        if ident != main:
            for place in in_answer(top):
                yield place, "a worker thread was still"
    for task in _tasks():
        awaited: Any = task.get_coro()
        waiting: list[tuple[str, int]] = []
        while awaited is not None:
            waiting += in_answer(getattr(awaited, "cr_frame", None))
            awaited = getattr(awaited, "cr_await", None)
        for place in waiting[-1:]:
            yield place, "a coroutine was still waiting"


def _tasks() -> set[asyncio.Task[Any]]:
    try:
        return asyncio.all_tasks()
    except RuntimeError:
        return set()


def _stop_threads() -> None:
    """Ask every thread that runs a solution to end: an endless loop would eat the later specs'
    time."""
    for ident, top in sys._current_frames().items():
        frame: FrameType | None = top
        while frame is not None and ident != threading.main_thread().ident:
            if frame.f_globals.get("__name__", "").startswith("katas.k"):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(ident), ctypes.py_object(SystemExit)
                )
                break
            frame = frame.f_back

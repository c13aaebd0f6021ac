"""Holds between two lines of a solution: for what is looked at first, and set afterwards."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from dojo.harness.current import ExchangeState, current_exchange
from dojo.harness.frames import at, is_learners, where
from dojo.harness.holds import Hold


class Lines:
    """The lines of a solution that run in worker threads, before the response of an exchange.

    A coroutine is not held: between two lines without an `await` nothing else gets a turn.
    """

    def __init__(self) -> None:
        self._hold: Hold | None = None
        self._first: ExchangeState | None = None
        self._left = 0

    def hold(self, number: int) -> Hold:
        """Hold the first exchange that comes to a line from now on, before one of its lines.

        They are counted from 0. Where there are fewer, the hold is never reached.
        """
        self._hold, self._first, self._left = Hold(f"line number {number + 1}"), None, number
        return self._hold

    def called(self, frame: FrameType, _event: str, _argument: object) -> Any:
        """Trace the functions of the solution, and no others: see `sys.settrace`."""
        return self._passed if is_learners(frame) else None

    def _passed(self, frame: FrameType, event: str, _argument: object) -> Any:
        hold = self._hold
        if event == "line" and hold is not None and not hold.reached and self._is_of_the_first():
            if self._left == 0:
                hold.what = at(where(frame))
                hold.stop_here()
            self._left -= 1
        return self._passed

    def _is_of_the_first(self) -> bool:
        state = current_exchange()
        if state is None or state.responded:
            return False
        self._first = self._first or state
        return state is self._first


@contextmanager
def traced() -> Iterator[Lines]:
    """Let the lines be held that run in threads which start from now on.

    Not where a debugger or a measurement of coverage traces them already.
    """
    lines = Lines()
    before = threading.gettrace()
    free = before is None and sys.gettrace() is None
    if free:
        threading.settrace(lines.called)
    try:
        yield lines
    finally:
        if free:
            threading.settrace(before)

"""A timeline that is printed as it happens, and not kept; and what is shown only there."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Iterable

from dojo.harness.frames import Traceback, line_at, shortened
from dojo.harness.timeline import Event, Timeline
from dojo.observers import files
from dojo.observers.logs import Logs
from dojo.plugin import render
from dojo.plugin.failures import Row
from dojo.plugin.rows import ALIKE, is_marked, row_of

REQUESTS = 1_000
# While rows are left out, it is said after so many seconds how many they are.
SECONDS = 1.0
WITH_MORE_BELOW = ("mail", "log")
# What every record has, or gets from a handler; the rest is what a solution has put there.
OF_EVERY_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
KIND = 9
THREAD = len("  worker thread")
WIDTHS = (60, 110)
# The response is what all else is compared with.
STYLES = {"response": "1;32", "mail": "36", "call": "36"}
MARKED, QUIET = "1;31", "2"


class LiveTimeline(Timeline):
    """Prints each event, in the order in which they happen, whatever thread they happen on.

    Each line has the number of the request, the time since the request came, and what happened. Of
    events in a row that are alike the first three are printed, and then how many there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self._began: dict[int, float] = {}
        self._row: Row | None = None
        self._times = 0
        self._left_out: list[str] = []
        self._printed = 0.0
        self._coloured = sys.stdout.isatty()
        columns = shutil.get_terminal_size((100, 24)).columns
        self._width = min(max(columns - 1, WIDTHS[0]), WIDTHS[1])

    def _keep(self, event: Event) -> None:
        # The observer of files wants to see the last one.
        self.events[:] = [event]
        row = row_of(event, marked=is_marked(event, self))
        lines, style = self._shown(event, row)
        if row != self._row or row.kind in WITH_MORE_BELOW:
            self._say_how_many()
            self._row, self._times = row, 0
        self._times += 1
        if self._times <= ALIKE:
            self._write(lines, style)
            return
        self._left_out.append(lines[0])
        if time.monotonic() - self._printed >= SECONDS:
            self._say_how_many()

    def _say_how_many(self) -> None:
        """Print how many rows were left out since the last one that was printed."""
        left_out, self._left_out = self._left_out, []
        if len(left_out) == 1:
            self._write(left_out, QUIET)
        elif left_out:
            self._write([f"{'':18}{'':{KIND}}{len(left_out)} more like these"], QUIET)

    def _shown(self, event: Event, row: Row) -> tuple[list[str], str]:
        """The lines of an event, and their style."""
        mark = ">" if row.marked else " "
        head = f"{mark}{row.exchange or '':>3}  {self._since(event):>9}  {row.kind:<{KIND}} "
        column = self._width - len(head) - THREAD
        detail = f"{shortened(row.detail, column):<{column}}  {row.thread}" if row.thread else None
        style = MARKED if row.marked else STYLES.get(row.kind, "")
        lines = [f"{head}{detail or row.detail}".rstrip()]
        if row.made:
            lines.append(f"{' ' * len(head)}(--fail made it fail)")
        if event.blocks_the_loop:
            lines.append(f"{' ' * len(head)}all other requests wait for this")
            lines += [f"{' ' * len(head)}at {line_at(place)}" for place in event.places[:1]]
        return lines, QUIET if row.kind == "finished" else style

    def add_below(self, lines: Iterable[str]) -> None:
        """Print more about the event before, such as the text of a mail."""
        with self._lock:
            self._say_how_many()
            self._write([f"{'':18}{'':{KIND}}| {line}" for line in lines], QUIET)

    def add_traceback(self, traceback: Traceback) -> None:
        """Print the lines of the solution that an exception came through."""
        with self._lock:
            self._say_how_many()
            self._write([f"{'':18}{line}" for line in render.code_lines([traceback])], MARKED)

    def _since(self, event: Event) -> str:
        """How long ago the request of an event came; empty where it belongs to none."""
        number = event.exchange
        if not number:
            return ""
        if event.kind == "request":
            self._began[number] = time.monotonic()
            if len(self._began) > REQUESTS:
                del self._began[next(iter(self._began))]
        began = self._began.get(number)
        return f"+{time.monotonic() - began:.3f} s" if began is not None else ""

    def _write(self, lines: Iterable[str], style: str) -> None:
        self._printed = time.monotonic()
        for line in lines:
            print(f"\033[{style}m{line}\033[0m" if style and self._coloured else line, flush=True)


class ShownDisk(files.Disk):
    """The scratch folder; what is removed in it is on the timeline, whatever thread does it."""

    __slots__ = ()

    def used(self, kind: str, name: str) -> None:
        """Note what matters only on the event loop's thread, and a removal on every thread."""
        if kind == "remove":
            self.note(kind, name)
        else:
            super().used(kind, name)


class ShownLogs(Logs):
    """The records on the logger `kata`, with the attributes that a solution has given them."""

    __slots__ = ("_timeline",)

    def __init__(self, timeline: LiveTimeline) -> None:
        super().__init__()
        self._timeline = timeline

    def note(self, record: logging.LogRecord) -> None:
        """Show a record, and its attributes below it."""
        super().note(record)
        given = sorted(vars(record).keys() - OF_EVERY_RECORD)
        texts = [" ".join(f"{name}: {vars(record)[name]}".split()) for name in given]
        self._timeline.add_below([shortened(text, WIDTHS[0]) for text in texts])

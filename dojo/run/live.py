"""A timeline that is printed as it happens, and not kept."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable

from dojo.harness.frames import Traceback, line_at, shortened
from dojo.harness.timeline import Event, Timeline
from dojo.plugin import render
from dojo.plugin.rows import is_marked, row_of

REQUESTS = 1_000
KIND = 9
THREAD = len("  worker thread")
WIDTHS = (60, 110)
# The response is what all else is compared with.
STYLES = {"response": "1;32", "mail": "36", "call": "36"}
MARKED, QUIET = "1;31", "2"


class LiveTimeline(Timeline):
    """Prints each event, in the order in which they happen, whatever thread they happen on.

    Each line has the number of the request, the time since the request came, and what happened.
    """

    def __init__(self) -> None:
        super().__init__()
        self._began: dict[int, float] = {}
        self._coloured = sys.stdout.isatty()
        columns = shutil.get_terminal_size((100, 24)).columns
        self._width = min(max(columns - 1, WIDTHS[0]), WIDTHS[1])

    def _keep(self, event: Event) -> None:
        row = row_of(event, marked=is_marked(event, self))
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
        if row.kind == "finished":
            style = QUIET
        self._write(lines, style)

    def add_below(self, lines: Iterable[str]) -> None:
        """Print more about the event before, such as the text of a mail."""
        with self._lock:
            self._write([f"{'':18}{'':{KIND}}| {line}" for line in lines], QUIET)

    def add_traceback(self, traceback: Traceback) -> None:
        """Print the lines of the solution that an exception came through."""
        with self._lock:
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
        for line in lines:
            print(f"\033[{style}m{line}\033[0m" if style and self._coloured else line, flush=True)

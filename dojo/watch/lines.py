"""The output of `dojo watch` where there is no screen to draw: lines for people, or JSON."""

from __future__ import annotations

import json
import sys

from rich.console import Console
from rich.text import Text

from dojo.commands.checkout import shown
from dojo.plugin import render
from dojo.plugin.failures import Failure
from dojo.plugin.score import Score
from dojo.watch import words
from dojo.watch.state import State
from dojo.watch.words import STYLES


class Json:
    """A line of JSON a run, for editors."""

    def began(self, state: State) -> None:
        """Nothing is said."""

    def changed(self, state: State) -> None:
        """Nothing is said but what concerns the watch itself, once."""
        _say_notice(state)

    def ended(self, state: State, score: Score, ms: int) -> None:
        """Write the line."""
        run = score.run()
        line = {
            "kata": run.kata,
            "light": run.light,
            "passed": run.passed,
            "failed": run.failed,
            "first_red": run.first_red,
            "ms": ms,
            "first_red_ms": state.red_ms,
        }
        print(json.dumps(line), flush=True)

    def trouble(self, state: State) -> None:
        """Say it on stderr."""
        print(f"dojo watch: {state.trouble}", file=sys.stderr, flush=True)

    def key(self, _state: State, _name: str) -> bool:
        """There are no keys."""
        return True

    def redraw(self, state: State) -> None:
        """Nothing is drawn."""


class Lines(Json):
    """Lines for people: what runs, the first red spec, and the light.

    The line with the file and the line number has a form that editors find places in.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.width = max(40, min(console.width, 100)) if console.is_terminal else 100

    def began(self, state: State) -> None:
        """Say what runs."""
        self._say(f"running {state.kata.name}")

    def ended(self, state: State, score: Score, ms: int) -> None:
        """Say how it went."""
        first = next(iter(score.failures), None)
        if first is not None:
            self._say()
            self._say(f"✗ {first.sentence}", "bold red")
            for text, style in render.shown(first, self.width):
                self._say(text, STYLES[style])
            place = _place(first) or f"{shown(score.kata.stub)}:1"
            self._say(f"{place}: error: {first.sentence} {first.message}")
        else:
            for text in words.what_next(state):
                self._say(text)
        line = words.light_line(score).append(f"  {ms / 1000:.2f} s", "default")
        self.console.print(line, soft_wrap=True)
        self._say()
        sys.stdout.flush()

    def _say(self, text: str = "", style: str = "") -> None:
        self.console.print(Text(text, style), soft_wrap=True)


def _place(found: Failure) -> str:
    """The place in the solution to look at; empty where none is known."""
    frames = [frame for raised in found.tracebacks for frame in raised.frames]
    places = [
        (found.file, found.line),
        *((frame.file, frame.line) for frame in frames[-1:]),
        *((row.file, row.line) for row in found.timeline if row.marked),
    ]
    return next((f"{file}:{line}" for file, line in places if file and line), "")


def _say_notice(state: State) -> None:
    if state.notice:
        print(f"dojo watch: {state.notice}", file=sys.stderr, flush=True)
        state.notice = ""

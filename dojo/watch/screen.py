"""The screen of `dojo watch`, and the terminal under it: resized, suspended, given back."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Any

from rich.console import Console

from dojo.commands import hint
from dojo.plugin.score import Score
from dojo.watch import words
from dojo.watch.events import Event, Redraw
from dojo.watch.keys import Keyboard, Terminal
from dojo.watch.pages import Page, page_of
from dojo.watch.state import State

PAGES = {"c": "card", "?": "help", "b": "board"}


class Screen:
    """A view that fills the terminal, and keeps what does not fit below it."""

    def __init__(self, console: Console, keyboard: Keyboard) -> None:
        self.console = console
        self.keyboard = keyboard
        self.top = 0
        self._state: State | None = None
        self._inside = False

    # ----- what the loop tells

    def began(self, state: State) -> None:
        """Show that a run is under way."""
        self.top = 0
        self.redraw(state)

    def changed(self, state: State) -> None:
        """Show what has changed."""
        self.redraw(state)

    def ended(self, state: State, _score: Score, _ms: int) -> None:
        """Show the verdict."""
        self.redraw(state)

    def trouble(self, state: State) -> None:
        """Show why nothing can run."""
        self.top = 0
        self.redraw(state)

    def key(self, state: State, name: str) -> bool:
        """Take a key that only changes what is seen."""
        room = max(1, self.console.height - 6)
        if name in ("up", "down", "page up", "page down"):
            self.top += {"up": -1, "down": 1, "page up": -room, "page down": room}[name]
        elif name == "h":
            _show_hints(state)
            self.top = 0
        elif name in PAGES:
            state.page = "verdict" if state.page == PAGES[name] else PAGES[name]
            self.top = 0
        elif name == "escape" or (name == "q" and state.page != "verdict"):
            state.page, self.top = "verdict", 0
        else:
            return False
        self.redraw(state)
        return True

    def redraw(self, state: State) -> None:
        """Draw everything."""
        self._state = state
        if not self._inside:
            return
        width, height = self.console.size
        page: Page = page_of(state, self.console, max(20, width - 1))
        lines, self.top = page.lines(height, self.top)
        home = "\x1b[H"
        self.console.file.write(home)
        for number, line in enumerate(lines):
            self.console.print(line, end="", no_wrap=True, overflow="crop", crop=True)
            self.console.file.write("\x1b[K" + ("\n" if number < len(lines) - 1 else ""))
        self.console.file.write("\x1b[J")
        self.console.file.flush()

    # ----- the terminal

    def enter(self) -> None:
        """Take the terminal."""
        self.console.set_alt_screen(True)
        self.console.show_cursor(False)
        self._inside = True
        self.keyboard.on()

    def leave(self) -> None:
        """Give the terminal back."""
        self._inside = False
        self.keyboard.off()
        self.console.show_cursor(True)
        self.console.set_alt_screen(False)
        self.console.file.flush()

    def say_goodbye(self) -> None:
        """Leave the last verdict behind, in a line."""
        state = self._state
        if state is not None and state.score.ran:
            self.console.print(words.light_line(state.score), soft_wrap=True)


def _show_hints(state: State) -> None:
    """Show the hints that were shown before, or else one more of them."""
    kata = state.kata
    if state.page != "hints" and not state.hints:
        state.hints = hint.seen(kata)
    if state.page == "hints" or not state.hints:
        state.hints = min(state.hints + 1, len(kata.hints))
        with contextlib.suppress(OSError):
            hint.note(kata, state.hints)
    state.page = "hints"


@contextmanager
def screen(console: Console, events: SimpleQueue[Event]) -> Iterator[Screen]:
    """A screen for the block; it follows the size of the terminal, and goes on after Ctrl-Z."""
    keyboard = Terminal(events)
    view = Screen(console, keyboard)
    before: dict[int, Any] = {}

    def resized(_signum: int, _frame: FrameType | None) -> None:
        events.put(Redraw())

    def suspended(signum: int, _frame: FrameType | None) -> None:
        view.leave()
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)
        # Here it goes on after `fg`.
        signal.signal(signum, suspended)
        view.enter()
        events.put(Redraw())

    handlers = {"SIGWINCH": resized, "SIGTSTP": suspended}
    for name, handler in handlers.items():
        if hasattr(signal, name):
            number = getattr(signal, name)
            before[number] = signal.signal(number, handler)
    keyboard.start()
    view.enter()
    try:
        yield view
    finally:
        for number, handler in before.items():
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, handler)
        keyboard.stop()
        view.leave()
        view.say_goodbye()

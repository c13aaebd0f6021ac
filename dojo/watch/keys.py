"""The keyboard: a thread that turns key presses into events, and the terminal that it needs."""

from __future__ import annotations

import _thread
import contextlib
import os
import sys
import threading
import time
from queue import SimpleQueue
from typing import Any

from dojo.watch.events import Event, Key

PAUSE = 0.2  # s between two looks whether to stop, or whether the terminal is ours again
SEQUENCES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    " ": "page down",
    "j": "down",
    "k": "up",
}
WINDOWS = {"H": "up", "P": "down", "I": "page up", "Q": "page down"}


def names_in(text: str) -> list[str]:
    """The names of the keys that were pressed, of what a terminal sends for them."""
    names = []
    while text:
        longest = sorted(SEQUENCES, key=len, reverse=True)
        sequence = next((known for known in longest if text.startswith(known)), text[0])
        names.append(SEQUENCES.get(sequence, sequence.casefold()))
        text = text[len(sequence) :]
    return names


class Keyboard:
    """Reads keys one by one, without Enter, while it is switched on."""

    def __init__(self, events: SimpleQueue[Event]) -> None:
        self.events = events
        self.stopping = threading.Event()

    def on(self) -> None:
        """Have the terminal give each key at once."""

    def off(self) -> None:
        """Have the terminal as it was."""

    def start(self) -> None:
        """Begin to read."""
        self.on()
        threading.Thread(target=self._read, name="dojo-keys", daemon=True).start()

    def stop(self) -> None:
        """Read no more."""
        self.stopping.set()
        self.off()

    def _read(self) -> None:
        raise NotImplementedError


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    class Terminal(Keyboard):
        """The console of Windows."""

        def _read(self) -> None:
            while not self.stopping.is_set():
                if not msvcrt.kbhit():
                    time.sleep(PAUSE / 4)
                    continue
                sign = msvcrt.getwch()
                if sign == "\x03":
                    _thread.interrupt_main()
                elif sign in ("\x00", "\xe0"):
                    if (name := WINDOWS.get(msvcrt.getwch())) is not None:
                        self.events.put(Key(name))
                else:
                    self.events.put(Key(SEQUENCES.get(sign, sign.casefold())))

else:
    import select
    import termios
    import tty

    class Terminal(Keyboard):
        """A terminal of Unix."""

        def __init__(self, events: SimpleQueue[Event]) -> None:
            super().__init__(events)
            self.descriptor = sys.stdin.fileno()
            self._before: list[Any] | None = None

        def is_ours(self) -> bool:
            """Whether this is the foreground job of the terminal."""
            try:
                return os.tcgetpgrp(self.descriptor) == os.getpgrp()
            except OSError:
                return False

        def on(self) -> None:
            """Have the terminal give each key at once, and not show it."""
            # In the background it would stop the whole job.
            if self._before is None and self.is_ours():
                with contextlib.suppress(termios.error):
                    self._before = termios.tcgetattr(self.descriptor)
                    tty.setcbreak(self.descriptor)

        def off(self) -> None:
            """Have the terminal as it was."""
            before, self._before = self._before, None
            if before is not None and self.is_ours():
                with contextlib.suppress(termios.error):
                    termios.tcsetattr(self.descriptor, termios.TCSADRAIN, before)

        def _read(self) -> None:
            while not self.stopping.is_set():
                try:
                    ready, _, _ = select.select([self.descriptor], [], [], PAUSE)
                    if not ready:
                        continue
                    if not self.is_ours():
                        time.sleep(PAUSE)
                        continue
                    pressed = os.read(self.descriptor, 1024)
                except (OSError, ValueError):
                    return
                if not pressed:
                    return
                for name in names_in(pressed.decode("utf-8", "ignore")):
                    self.events.put(Key(name))

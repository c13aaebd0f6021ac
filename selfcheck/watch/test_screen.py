"""The screen and its keys, in a terminal of its own."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from rich.console import Console

from dojo.catalogue import read_catalogue
from dojo.commands.standing import Standing
from dojo.plugin.failures import Failure, Row
from dojo.watch import keys
from dojo.watch.pages import page_of
from dojo.watch.screen import Screen
from dojo.watch.state import State
from selfcheck.watch.small import ONE, RED, app_of, environment, make

pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")

PATIENCE = 60
# A shell in miniature: it starts the watch as the foreground job, and says when that has stopped.
SHELL = """
import os, signal, subprocess, sys

signal.signal(signal.SIGTTOU, signal.SIG_IGN)
watch = subprocess.Popen(
    [sys.executable, "-m", "dojo.cli", "watch", "k01"],
    preexec_fn=lambda: (os.setpgid(0, 0), signal.signal(signal.SIGTTOU, signal.SIG_DFL)),
)
os.tcsetpgrp(0, watch.pid)
while True:
    _, status = os.waitpid(watch.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        break
    os.tcsetpgrp(0, os.getpgrp())
    print("STOPPED", flush=True)
    sys.stdin.readline()
    os.tcsetpgrp(0, watch.pid)
    os.killpg(watch.pid, signal.SIGCONT)
os.tcsetpgrp(0, os.getpgrp())
print("ENDED", os.waitstatus_to_exitcode(status), flush=True)
"""


class Terminal:
    """A terminal with a watch in it: keys go in, and what is drawn comes out."""

    def __init__(self, root: Path) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(root)
            os.environ.clear()
            os.environ.update(environment(TERM="xterm-256color", COLUMNS="", LINES=""))
            os.environ.pop("COLUMNS")
            os.environ.pop("LINES")
            os.execv(sys.executable, [sys.executable, "-c", SHELL])
        self.resize(100, 30)
        self.seen = ""

    def resize(self, columns: int, rows: int) -> None:
        termios.tcsetwinsize(self.descriptor, (rows, columns))

    def press(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def until(self, wanted: str) -> str:
        """Read until a text was drawn; all that was drawn since the last one."""
        end = time.monotonic() + PATIENCE
        while wanted not in self.seen:
            ready, _, _ = select.select([self.descriptor], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {wanted!r} in {self.seen[-2000:]!r}"
            with contextlib.suppress(OSError):
                drawn = os.read(self.descriptor, 65536).decode("utf-8", "replace")
                self.seen += re.sub(r"\x1b\[[0-9;]*m", "", drawn)
        seen, _, self.seen = self.seen.partition(wanted)
        return seen

    @property
    def is_cooked(self) -> bool:
        """Whether the terminal is as a shell wants it."""
        return bool(termios.tcgetattr(self.descriptor)[3] & termios.ICANON)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.descriptor)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in a small project."""
    terminal = Terminal(make(tmp_path))
    yield terminal
    terminal.close()


def test_a_watch_is_driven_by_keys(terminal: Terminal, tmp_path: Path):
    """Green, hint, the next kata, red, Ctrl-Z and `fg`, another size, and out."""
    terminal.until("k01 is green")
    assert not terminal.is_cooked

    terminal.press("h")
    terminal.until("a nudge")
    terminal.press("h")
    terminal.until("a direction")
    terminal.press("n")
    terminal.until("running")
    terminal.until("All katas are green")
    app_of(tmp_path).write_text(RED, encoding="utf-8")
    terminal.until("1/2  ")  # and the seconds: it has ended
    terminal.until("The line comes after the response.")

    terminal.press("\x1a")
    terminal.until("STOPPED")
    assert terminal.is_cooked
    terminal.press("\n")
    terminal.until("The line comes after the response.")
    assert not terminal.is_cooked

    terminal.until("q quit")
    terminal.resize(60, 12)
    terminal.until("more lines below")
    terminal.press("q")
    assert "● red    k01" in terminal.until("ENDED 0")
    assert terminal.is_cooked


# ----- without a terminal


@pytest.fixture
def state(tmp_path: Path) -> State:
    """The state of a watch whose first kata is red."""
    katas = [Standing(kata, None, False) for kata in read_catalogue(make(tmp_path)).values()]
    state = State.begin(tmp_path, katas, katas[0].kata)
    node = f"tests/test_{ONE}.py::test_the_line_comes_after_the_response"
    rows = [Row("request", f"GET /{number}") for number in range(30)]
    found = Failure(
        ONE, "the line comes after the response", message="no", timeline=rows, node=node
    )
    state.score.red[node] = found
    return state


@pytest.mark.fast
@pytest.mark.parametrize("size", [(1, 1), (20, 5), (60, 12), (200, 80)])
@pytest.mark.parametrize("page", ["verdict", "hints", "card", "board", "help"])
def test_each_page_fits_into_each_terminal(state: State, page: str, size: tuple[int, int]):
    """A line too many would scroll the screen away."""
    state.page, state.notice = page, "a notice that is so long that it does not fit into a line"
    width, height = size
    console = Console(width=width, height=height, force_terminal=True)

    for top in (0, 5, 1000):
        lines, _ = page_of(state, console, max(20, width - 1)).lines(height, top)
        assert len(lines) <= height


@pytest.mark.fast
def test_hints_come_one_at_a_time(state: State):
    """And those that were shown before are shown first, also by another process."""
    view = Screen(Console(), keys.Keyboard(SimpleQueue()))
    shown = []
    for key in ("h", "h", "escape", "h", "h", "h"):
        view.key(state, key)
        shown.append(state.hints)
    assert shown == [1, 2, 2, 2, 3, 3]

    again = State.begin(state.root, [Standing(state.kata, None, False)], state.kata)
    view.key(again, "h")
    assert again.hints == 3


@pytest.mark.fast
def test_keys_have_names():
    """Arrows come as several characters, and two keys may come at once."""
    assert keys.names_in("\x1b[A\x1b[6~q\x1b") == ["up", "page down", "q", "escape"]
    assert keys.names_in("N ") == ["n", "page down"]
    assert keys.names_in("ä") == ["ä"]

"""`dojo watch`: the verdict on a kata whenever its file is saved."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any

from dojo.commands.checkout import DONE, add_command, asked_for, find_root
from dojo.commands.standing import current, standings
from dojo.watch.events import Event
from dojo.watch.loop import Loop, View
from dojo.watch.state import State

MEMORY = Path("/dev/shm")  # where Linux keeps files in memory
ROOM = 64 << 20


def add_to(commands: Any) -> None:
    """Add the command `watch` to the command line."""
    watch = add_command(
        commands,
        "watch",
        run,
        "the verdict on a kata whenever you save it",
        "Run the specs of a kata whenever its app.py is saved, and show its light, the first red "
        "spec and its timeline. It begins with KATA, or with the kata that you worked on last, and "
        "then runs whichever kata is saved.",
        kata="?",
    )
    how = watch.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="a line of JSON for each run")
    how.add_argument(
        "--plain", action="store_true", help="lines without a screen, as where there is no terminal"
    )
    watch.add_argument(
        "--poll",
        action="store_true",
        help="look at the files, where the system does not tell that one is saved (network drives)",
    )
    watch.add_argument(
        "--no-fork",
        action="store_true",
        help="run all specs in one process, as is done where there is no fork (Windows)",
    )


def run(asked: argparse.Namespace) -> int:
    """Watch until the learner quits."""
    root = find_root()
    katas = standings()
    at = current(katas) or katas[0]
    state = State.begin(root, katas, asked_for(asked) if asked.kata else at.kata)
    events: SimpleQueue[Event] = SimpleQueue()
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end)
    with tempfile.TemporaryDirectory(
        prefix="dojo-watch-", dir=_fast_folder(), ignore_cleanup_errors=True
    ) as scratch:
        from dojo.watch.client import Warm

        warm = Warm(root, Path(scratch), events, fork=hasattr(os, "fork") and not asked.no_fork)
        try:
            return _watch(asked, state, warm, events)
        finally:
            warm.stop()


def _watch(asked: argparse.Namespace, state: State, warm: Any, events: SimpleQueue[Event]) -> int:
    from rich.console import Console

    from dojo.watch.lines import Json, Lines
    from dojo.watch.saves import Saves

    saves = Saves(
        state.root, {name: kata.stub for name, kata in state.katas.items()}, events, poll=asked.poll
    )
    saves.start()
    console = Console(highlight=False)
    view: View
    try:
        if asked.json:
            view = Json()
        elif asked.plain or not _has_screen(console):
            view = Lines(console)
        else:
            from dojo.watch.screen import screen

            with screen(console, events) as view:
                Loop(state, warm, events, view).run()
            return DONE
        Loop(state, warm, events, view).run()
    finally:
        saves.stop()
    return DONE


def _has_screen(console: Any) -> bool:
    return bool(console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty())


def _fast_folder() -> str | None:
    """Where files are made fastest: in memory, where that has room."""
    try:
        room = os.statvfs(MEMORY)
    except (AttributeError, OSError):
        return None
    usable = os.access(MEMORY, os.W_OK | os.X_OK) and room.f_bavail * room.f_frsize > ROOM
    return str(MEMORY) if usable else None


def _end(signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)

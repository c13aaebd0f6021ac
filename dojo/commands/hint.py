"""`dojo hint`: the hints of a kata, one more each time."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from textwrap import fill
from typing import Any

from dojo import notes
from dojo.catalogue import Kata
from dojo.commands.checkout import DONE, add_command, asked_for
from dojo.progress import FOLDER, state_folder

FILE = "hints.json"
WIDTH = 100


def add_to(commands: Any) -> None:
    """Add the command `hint` to the command line."""
    hint = add_command(
        commands,
        "hint",
        run,
        "one more of the three hints of a kata",
        "Show the hints of a kata, one more each time: a nudge, a direction, nearly the solution.",
        kata="1",
    )
    hint.add_argument("--all", action="store_true", help="all three at once")


def run(asked: argparse.Namespace) -> int:
    """Show the hints that the command line asks for."""
    kata = asked_for(asked)
    count = len(kata.hints) if asked.all else min(seen(kata) + 1, len(kata.hints))
    width = min(shutil.get_terminal_size().columns, WIDTH)
    for number, hint in enumerate(kata.hints[:count], 1):
        if number == count or asked.all:
            head = f"hint {number} of {len(kata.hints)}"
            print(fill(f"{head}: {hint}", width, break_long_words=False, break_on_hyphens=False))
    try:
        note(kata, count)
    except OSError as error:
        why = error.strerror or error
        print(f"dojo hint: not noted ({why}): --all shows the others", file=sys.stderr)
        return DONE
    if count < len(kata.hints):
        print(f"`dojo hint {kata.number}` shows the next one.")
    else:
        print(f"That was all; `dojo compare {kata.number} --spoil` shows the reference.")
    return DONE


def seen(kata: Kata) -> int:
    """How many hints of a kata were shown."""
    count = _read(kata.root).get(kata.name)
    return count if isinstance(count, int) and 0 <= count <= len(kata.hints) else 0


def note(kata: Kata, count: int) -> None:
    """Note how many hints of a kata were shown. Raises `OSError`."""
    noted = _read(kata.root)
    if noted.get(kata.name) == count:
        return
    notes.write(state_folder(kata.root) / FILE, noted | {kata.name: count})


def _read(root: Path) -> dict[str, Any]:
    return notes.read(root / FOLDER / FILE)

"""`dojo compare`: how the learner's solution and the reference differ, once it is green."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import Any

from dojo import progress
from dojo.catalogue import Kata
from dojo.commands.checkout import (
    DONE,
    EXIT_CODES,
    NOT_YET,
    CommandError,
    add_command,
    asked_for,
    shown,
)
from dojo.commands.standing import Standing


def add_to(commands: Any) -> None:
    """Add the command `compare` to the command line."""
    compare = add_command(
        commands,
        "compare",
        run,
        "your solution beside the reference, once it is green",
        "Show how your app.py and the reference solution differ, once the last run was green.",
        kata="1",
    )
    compare.epilog = EXIT_CODES.replace("2 wrong", "1 not green yet; 2 wrong")
    compare.add_argument("--spoil", action="store_true", help="also when it is not green yet")


def run(asked: argparse.Namespace) -> int:
    """Show the diff, or say why not yet."""
    kata = asked_for(asked)
    reference = kata.reference
    if not reference.is_file():
        raise CommandError(f"there is no reference here: {shown(reference)} is missing")
    why = "" if asked.spoil else _why_not(kata)
    if why:
        print(
            f"{kata.number} {why}: run `pytest {shown(kata.stub.parent)}` until it is green, or "
            "see the reference all the same with --spoil",
            file=sys.stderr,
        )
        return NOT_YET
    yours = kata.stub.read_text(encoding="utf-8", errors="replace")
    theirs = reference.read_text(encoding="utf-8")
    lines = list(
        difflib.unified_diff(
            yours.splitlines(),
            theirs.splitlines(),
            shown(kata.stub),
            shown(reference),
            lineterm="",
        )
    )
    if not lines:
        print(f"{shown(kata.stub)} and {shown(reference)} are the same, line by line")
    _print(lines)
    right = sorted(reference.parent.glob("right/*.py"))
    if right:
        print(f"\n{len(right)} more right solutions: {shown(right[0].parent)}")
    return DONE


def _why_not(kata: Kata) -> str:
    """Why the reference is not shown yet, in words; empty where it may be."""
    standing = Standing(kata, progress.latest(kata.root).get(kata.name), untouched=False)
    if standing.run is None:
        return "has not run yet"
    if not standing.done:
        return f"was {standing.light} in the last run"
    return "was changed since it was green" if standing.changed else ""


def _print(lines: list[str]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for number, line in enumerate(lines):
        style = "bold" if number < 2 else styles.get(line[:1], "")
        console.print(Text(line, style))

"""`dojo restore`: the learner's file as it was, from a backup."""

from __future__ import annotations

import argparse
from typing import Any

from dojo.commands import backups
from dojo.commands.checkout import DONE, CommandError, add_command, asked_for, shown


def add_to(commands: Any) -> None:
    """Add the command `restore` to the command line."""
    add_command(
        commands,
        "restore",
        run,
        "bring back what `dojo reset` has backed up",
        "Bring back the newest backup of your app.py that is not what you have now. What you have "
        "now is backed up first, so that a second `dojo restore` undoes the first. All backups "
        "stay in .dojo/backups/.",
        kata="1",
    )


def run(asked: argparse.Namespace) -> int:
    """Restore the kata that the command line names."""
    kata = asked_for(asked)
    now = backups.content_of(kata)
    kept = backups.kept(kata)
    others = ((backup, backup.read_bytes()) for backup in kept)
    found = next(((backup, content) for backup, content in others if content != now), None)
    if found is None:
        if kept:
            raise CommandError(f"{shown(kata.stub)} is the same as its backup {shown(kept[0])}")
        raise CommandError(
            f"there is no backup of {kata.name}: `dojo reset {kata.number}` makes one"
        )
    backup, content = found
    replaced = backups.replace(kata, content)
    print(f"{shown(kata.stub)} is {shown(backup)} again")
    if replaced is not None:
        print(f"  what was there is {shown(replaced)}")
    return DONE

"""`dojo reset`: the stub again; what the learner had written is backed up first."""

from __future__ import annotations

import argparse
from typing import Any

from dojo.catalogue import Kata
from dojo.commands import backups
from dojo.commands.checkout import (
    DONE,
    CommandError,
    add_command,
    all_katas,
    asked_for,
    shown,
)


def add_to(commands: Any) -> None:
    """Add the command `reset` to the command line."""
    reset = add_command(
        commands,
        "reset",
        run,
        "begin a kata anew, with a backup of your file",
        "Put the stub in the place of your app.py. Your file goes to .dojo/backups/ first, and "
        "`dojo restore` brings it back.",
        kata="?",
    )
    reset.add_argument("--all", action="store_true", help="begin all katas anew")


def run(asked: argparse.Namespace) -> int:
    """Reset the katas that the command line names."""
    if bool(asked.kata) == asked.all:
        raise CommandError("name one kata, or say --all")
    katas = list(all_katas().values()) if asked.all else [asked_for(asked)]
    changed = [kata for kata in katas if backups.content_of(kata) != backups.stub_of(kata)]
    if not changed:
        print(f"{'each app.py' if asked.all else shown(katas[0].stub)} is the stub already")
    for kata in changed:
        _reset(kata)
    return DONE


def _reset(kata: Kata) -> None:
    backup = backups.replace(kata, backups.stub_of(kata))
    print(f"{shown(kata.stub)} is the stub again")
    if backup is not None:
        print(f"  your file is {shown(backup)}; back with `dojo restore {kata.number}`")

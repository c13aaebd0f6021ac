"""`dojo next`: the kata to go on with."""

from __future__ import annotations

import argparse
from typing import Any

from dojo.commands.checkout import DONE, add_command, shown
from dojo.commands.standing import Standing, following, standings


def add_to(commands: Any) -> None:
    """Add the command `next` to the command line."""
    add_command(
        commands,
        "next",
        run,
        "the kata to go on with",
        "Show the kata to go on with: the first that you have begun and that is not green yet, or "
        "else the first that you have not begun.",
    )


def run(_asked: argparse.Namespace) -> int:
    """Show the kata to go on with."""
    standing = following(standings())
    if standing is None:
        print("All katas are green. `dojo compare KATA` shows how the reference differs.")
    else:
        show(standing)
    return DONE


def show(standing: Standing) -> None:
    """Write what a kata is about, and where its files are."""
    kata = standing.kata
    print(f"{kata.number}, {kata.title} ({kata.belt} belt, {kata.minutes} minutes)")
    if standing.run is not None and not standing.untouched:
        print(f"  {standing.light}, {standing.count} specs green")
        if standing.run.first_red:
            print(f"  first red: {standing.run.first_red}")
    print(f"  read    {shown(kata.card)}, or `dojo card {kata.number}`")
    print(f"  change  {shown(kata.stub)}")
    print(f"  run     pytest {shown(kata.stub.parent)}, or `dojo watch {kata.number}`")

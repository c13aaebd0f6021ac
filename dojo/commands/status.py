"""`dojo status`: the board of the last runs, and nothing is run for it."""

from __future__ import annotations

import argparse
from typing import Any

from dojo.commands.checkout import DONE, add_command
from dojo.commands.standing import STYLES, Standing, ago, standings


def add_to(commands: Any) -> None:
    """Add the command `status` to the command line."""
    add_command(
        commands,
        "status",
        run,
        "the lights of the last runs",
        "Show the light of each kata as it was when its specs last ran. Nothing is run.",
    )


def run(_asked: argparse.Namespace) -> int:
    """Show the board."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    katas = standings()
    board = Table.grid(padding=(0, 2))
    for standing in katas:
        light = Text(f"● {standing.light}", STYLES[standing.light])
        title = Text(standing.kata.title)
        board.add_row(
            light, standing.kata.number, title, Text(standing.count), Text(_when(standing))
        )
    Console(highlight=False).print(board)
    done = sum(standing.done for standing in katas)
    print(
        f"\n{done} of {len(katas)} katas green. `pytest` runs all, `dojo next` names the next one."
    )
    return DONE


def _when(standing: Standing) -> str:
    if standing.run is None or standing.untouched:
        return ""
    return ago(standing.run.at) + (", changed since" if standing.changed else "")

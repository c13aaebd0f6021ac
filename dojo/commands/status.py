"""`dojo status`: the board of the last runs, and nothing is run for it."""

from __future__ import annotations

import argparse
from typing import Any

from dojo.commands.checkout import DONE, add_command
from dojo.commands.standing import STYLES, Standing, ago, standings
from dojo.harness.frames import shortened


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
    from rich.text import Text

    katas = standings()
    counts = [standing.count for standing in katas]
    after = [
        f"  {count:<{max(map(len, counts))}}  {_when(katas[n])}" for n, count in enumerate(counts)
    ]
    console = Console(highlight=False, soft_wrap=True)
    room = console.width - 1 - len("● amber  k01  ") - max(map(len, after))
    titles = [shortened(standing.kata.title, max(room, 20)) for standing in katas]
    width = max(map(len, titles))
    for standing, title, rest in zip(katas, titles, after, strict=True):
        light = Text(f"● {standing.light:<7}", STYLES[standing.light])
        console.print(light + f"{standing.kata.number}  {title:<{width}}{rest.rstrip()}")
    done = sum(standing.done for standing in katas)
    print(
        f"\n{done} of {len(katas)} katas green. `pytest` runs all, `dojo next` names the next one."
    )
    return DONE


def _when(standing: Standing) -> str:
    if standing.run is None or standing.untouched:
        return ""
    return ago(standing.run.at) + (", changed since" if standing.changed else "")

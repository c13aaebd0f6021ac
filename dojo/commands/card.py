"""`dojo card`: the card of a kata, rendered for the terminal."""

from __future__ import annotations

import argparse
from typing import Any

from dojo.commands.checkout import DONE, add_command, asked_for

WIDTH = 100


def add_to(commands: Any) -> None:
    """Add the command `card` to the command line."""
    add_command(
        commands,
        "card",
        run,
        "the card of a kata: its story and its contract",
        "Show the card of a kata. `dojo card k02 | less` shows it page by page.",
        kata="1",
    )


def run(asked: argparse.Namespace) -> int:
    """Show the card that the command line asks for."""
    from rich.console import Console
    from rich.markdown import Markdown

    kata = asked_for(asked)
    console = Console()
    console.width = min(console.width, WIDTH)
    console.print(Markdown(kata.card.read_text(encoding="utf-8"), hyperlinks=False))
    return DONE

"""`dojo export cards`: the cards of the katas as one page to be printed, a sheet for each."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dojo.commands.checkout import DONE, CommandError, add_command, find_root, shown


def add_to(kinds: Any) -> None:
    """Add `cards` to what can be exported."""
    cards = add_command(
        kinds,
        "cards",
        run,
        "the cards of the katas, to be printed",
        "Write the cards of the katas as one HTML file, a sheet of paper for each: open it in a "
        "browser and print it, or save it as PDF there.",
    )
    cards.add_argument("target", metavar="FILE", type=Path, help="a name that ends in .html")
    cards.add_argument(
        "--kata", action="append", metavar="KATA", help="this kata only (k03); may be given again"
    )


def run(asked: argparse.Namespace) -> int:
    """Write the file."""
    from dojo.catalogue import find, read_catalogue
    from dojo.session import cards
    from dojo.session.board import templates

    target: Path = asked.target
    if target.suffix.lower() not in (".html", ".htm"):
        raise CommandError(
            f"{target} does not end in .html: a browser makes a PDF of it, with Print"
        )
    if target.exists():
        raise CommandError(f"{shown(target)} is there already: give another name")
    katas = read_catalogue(find_root())
    chosen = [find(katas, text) for text in asked.kata] if asked.kata else list(katas.values())
    page = templates.get_template("cards.html.jinja").render(
        sheets=[
            {
                "kata": kata,
                "story": cards.html_of(kata, cards.STORY),
                "contract": cards.html_of(kata, cards.CONTRACT),
                "questions": cards.html_of(kata, cards.QUESTIONS),
            }
            for kata in dict.fromkeys(chosen)
        ]
    )
    with target.open("x", encoding="utf-8", newline="\n") as file:
        file.write(page)
    print(f"{shown(target)}: {len(chosen)} cards. Open it in a browser, and print it")
    return DONE

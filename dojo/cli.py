"""The `dojo` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from dojo import __version__, new_kata, show, streams
from dojo.commands import (
    card,
    compare,
    completion,
    here,
    hint,
    next_kata,
    reset,
    restore,
    status,
)
from dojo.grading import cli, export
from dojo.run import cli as run
from dojo.session import cli as session
from dojo.session import join, offline, print_cards
from dojo.watch import cli as watch


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    dojo = argparse.ArgumentParser(
        prog="dojo",
        description="Katas about what FastAPI does after the response. Run `pytest` to work on "
        "one; these commands only make it more comfortable. `dojo` alone shows where you are.",
        epilog="KATA is a number, a name, or a part of it: k03, 3, order_checkout, checkout. "
        "`dojo completion --help` says how your shell completes all that with Tab.",
    )
    dojo.add_argument("--version", action="version", version=f"dojo {__version__}")
    dojo.set_defaults(run=here.run)
    commands = dojo.add_subparsers(title="commands", metavar="COMMAND")
    for comfort in (watch, status, next_kata, card, hint, run, compare, reset, restore, completion):
        comfort.add_to(commands)
    session.add_to(commands)
    join.add_to(commands)
    cli.add_to(commands)
    kinds = export.add_to(commands)
    offline.add_to(kinds)
    print_cards.add_to(kinds)
    new_kata.add_to(commands)
    show.add_to(commands)
    return dojo


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0 where it succeeded."""
    streams.make_safe()
    whole = parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(whole)
    asked = whole.parse_args(arguments)
    code: int = asked.run(asked)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""`dojo session`: its command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dojo.commands.checkout import CommandError, Work, add_command
from dojo.session.settings import FORMATS, PORT


def add_to(commands: Any) -> None:
    """Add the command `session` to the command line."""
    session = commands.add_parser(
        "session",
        help="a page for the projector, for a dojo with others",
        description="A page for the projector, for a dojo with others: turns, lights, agenda. "
        "docs/facilitating.md is the guide.",
    )
    kinds = session.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_start(kinds)
    resume = add_command(
        kinds,
        "resume",
        _later("resume"),
        "go on with a session",
        "Serve the page of a session again: the last one, or the one with this number.",
    )
    _add_number(resume)
    _add_network(resume)
    add_command(kinds, "list", _later("list"), "the sessions", "List the sessions.")
    export = add_command(
        kinds,
        "export",
        _later("export"),
        "write a session as JSON, CSV and one HTML page",
        "Write a session as JSON, as CSV and as one HTML page that needs nothing else.",
    )
    _add_number(export)
    export.add_argument("--out", type=Path, metavar="FOLDER", help="default: session-NUMBER")


def _add_start(kinds: Any) -> None:
    start = add_command(
        kinds,
        "start",
        _later("start"),
        "start a session, and serve its page",
        "Start a session, and serve its page until Ctrl-C.",
    )
    start.add_argument(
        "--kata", action="append", metavar="KATA", help="the kata (k01); may be given again"
    )
    start.add_argument(
        "--minutes", type=int, default=60, metavar="N", help="of the whole session (60)"
    )
    start.add_argument("--turn", type=float, default=7.0, metavar="N", help="minutes a turn (7)")
    start.add_argument("--names", default="", metavar="A,B", help="who takes turns, in this order")
    start.add_argument("--format", choices=FORMATS, default="teams", help="default: teams")
    start.add_argument(
        "--baby-steps",
        type=float,
        default=0.0,
        metavar="N",
        help="one more green spec in N minutes, or back to the last one",
    )
    start.add_argument(
        "--one-spec", action="store_true", help="pytest shows the next red spec only"
    )
    _add_network(start)


def _add_network(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--lan", action="store_true", help="let other machines in the network reach the page"
    )
    command.add_argument("--port", type=int, default=PORT, metavar="N", help=f"default: {PORT}")


def _add_number(command: argparse.ArgumentParser) -> None:
    command.add_argument("number", type=int, nargs="?", help="as `dojo session list` shows it")


def _later(name: str) -> Work:
    """A command whose code is imported when it is asked for: a database takes its time."""

    def run(asked: argparse.Namespace) -> int:
        try:
            from dojo.session import evening
        except ImportError as missing:
            raise CommandError(
                f"{missing}: `pip install -c constraints.txt -e '.[session]'` installs what the "
                "page of a session needs"
            ) from None
        return evening.run(name, asked)

    return run

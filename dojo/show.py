"""`dojo show`: one solution as a whole module, also where it is kept as a diff."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from dojo import mistakes
from dojo.catalogue import CatalogueError, read_catalogue

SHOWN, USAGE = 0, 2
ROOT = Path(__file__).resolve().parent.parent


def add_to(commands: Any) -> None:
    """Add the command `show` to the command line."""
    show = commands.add_parser(
        "show",
        help="print a solution",
        description="Print a solution: of a mistake's .diff, the whole module that it makes of "
        "its base; any other file as it is.",
    )
    show.add_argument("file", metavar="FILE", type=Path, help="a .diff or a .py")
    show.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Print the file that the command line names; an error is told in a line."""
    from dojo.solutions import SolutionsNotFoundError  # with FastAPI, which takes half a second

    try:
        content = whole(asked.file)
    except (CatalogueError, SolutionsNotFoundError, mistakes.MistakeError) as error:
        print(f"dojo show: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"dojo show: {asked.file}: {error.strerror or error}", file=sys.stderr)
        return USAGE
    sys.stdout.flush()
    try:
        # As bytes: what is redirected into a file must be the module, on every system.
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return SHOWN


def whole(file: Path) -> bytes:
    """The module that a file holds or, if it is a diff, makes.

    Raises `OSError`, `MistakeError`, `SolutionsNotFoundError`, `CatalogueError`.
    """
    if file.suffix != mistakes.SUFFIX or not file.is_file():
        return file.read_bytes()
    from dojo.solutions import find_solutions

    kata = find_solutions(file, read_catalogue(ROOT)).kata
    solutions = kata.solutions if kata is not None else None
    return mistakes.patched(file.resolve(), solutions).encode()

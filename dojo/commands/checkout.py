"""What the learner's commands share: the checkout that they work in, and how they tell errors."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dojo.catalogue import CatalogueError, Kata, KataNotFoundError, find, read_catalogue

DONE, NOT_YET, USAGE, FAILED, INTERRUPTED = 0, 1, 2, 3, 130
ROOT = Path(__file__).resolve().parents[2]
EXIT_CODES = (
    "exit codes: 0 done; 2 wrong usage; 3 a file cannot be read or written; 130 interrupted."
)
KATA = "number, name, or a part of the name: k03, 3, order_checkout, checkout"


class CommandError(Exception):
    """A command that cannot be done as it is asked for; the message says what to do instead."""


Work = Callable[[argparse.Namespace], int]


def add_command(
    commands: Any, name: str, work: Work, summary: str, description: str, *, kata: str = ""
) -> argparse.ArgumentParser:
    """Add a command to the command line.

    `kata` is how often it takes a KATA: never, `?` or once (`1`).
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=description, epilog=EXIT_CODES
    )
    if kata:
        add_kata(parser, optional=kata == "?")
    parser.set_defaults(run=telling(name, work))
    return parser


def add_kata(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the argument KATA, whose names the shell completes."""
    named = parser.add_argument("kata", metavar="KATA", nargs="?" if optional else None, help=KATA)
    vars(named)["completer"] = _names


def telling(name: str, work: Work) -> Work:
    """`work`, whose errors are told in a line; it gives the exit code."""

    def run(asked: argparse.Namespace) -> int:
        try:
            code = work(asked)
            sys.stdout.flush()
        except (CommandError, CatalogueError, KataNotFoundError) as error:
            return _fail(name, error, USAGE)
        except BrokenPipeError:  # somebody has read enough, as with `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
        except OSError as error:
            where = f"{shown(error.filename)}: " if error.filename else ""
            return _fail(name, f"{where}{error.strerror or error}", FAILED)
        except KeyboardInterrupt:
            return INTERRUPTED
        return code

    return run


def _fail(name: str, error: object, code: int) -> int:
    print(f"dojo {name}: {error}", file=sys.stderr)
    return code


def find_root() -> Path:
    """The checkout that the working directory lies in, or else the one of this tool.

    Raises `CommandError` where neither has katas.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, ROOT):
        if any(folder.glob("katas/k*/kata.toml")):
            return folder
    raise CommandError(
        f"{here} is no dojo: neither it nor a folder above it has files like "
        f"{Path('katas', 'k01_name', 'kata.toml')}. Change to the folder that you have cloned"
    )


def all_katas() -> dict[str, Kata]:
    """The katas of the checkout. Raises `CommandError`, `CatalogueError`."""
    return read_catalogue(find_root())


def asked_for(asked: argparse.Namespace) -> Kata:
    """The kata that the command line names.

    Raises `CommandError`, `CatalogueError`, `KataNotFoundError`.
    """
    return find(all_katas(), asked.kata)


def shown(path: str | Path) -> str:
    """A path as it can be typed in the working directory."""
    try:
        return min(os.path.relpath(path), str(path), key=len)
    except ValueError:  # another drive, on Windows
        return str(path)


def _names(**_asked: Any) -> list[str]:
    """The names of all katas, for the completion of a shell."""
    try:
        return list(all_katas())
    except (CommandError, CatalogueError, OSError):
        return []

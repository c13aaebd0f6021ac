"""The `dojo` command."""

from __future__ import annotations

import argparse
import codecs
import sys
from collections.abc import Sequence

from dojo import __version__, new_kata, show
from dojo.grading import cli, export

# What is said instead of signs that a terminal does not have; names keep an escape for each letter.
PLAIN = {"✗": "x", "✓": ".", "●": "*", "·": "-", "…": "...", "━": "-", "╸": "-", "╺": "-"}


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """An error handler of codecs."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if sign in PLAIN:
        return PLAIN[sign], error.start + 1
    return codecs.backslashreplace_errors(error)


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    dojo = argparse.ArgumentParser(
        prog="dojo",
        description="Katas about what FastAPI does after the response. To work on one, run "
        "`pytest`.",
    )
    dojo.add_argument("--version", action="version", version=f"dojo {__version__}")
    commands = dojo.add_subparsers(title="commands", metavar="COMMAND", required=True)
    cli.add_to(commands)
    export.add_to(commands)
    new_kata.add_to(commands)
    show.add_to(commands)
    return dojo


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0, or says what was wrong."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal has no letters for must not be the end of it.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plain")
    asked = parser().parse_args(arguments)
    code: int = asked.run(asked)
    return code


if __name__ == "__main__":
    sys.exit(main())

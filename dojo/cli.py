"""The `dojo` command."""

from __future__ import annotations

import argparse
import codecs
import sys
from collections.abc import Sequence

from dojo import __version__, new_kata, show
from dojo.grading import cli, export

# Signs that a terminal may not have, and plain ones for them. Letters of names become escapes.
PLAIN = {"✗": "x", "✓": ".", "●": "*", "·": "-", "…": "...", "━": "-", "╸": "-", "╺": "-"}


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace a sign that cannot be encoded: an error handler of codecs."""
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
        description="Katas about what FastAPI does after the response. Run `pytest` to work on "
        "one.",
    )
    dojo.add_argument("--version", action="version", version=f"dojo {__version__}")
    commands = dojo.add_subparsers(title="commands", metavar="COMMAND", required=True)
    cli.add_to(commands)
    export.add_to(commands)
    new_kata.add_to(commands)
    show.add_to(commands)
    return dojo


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0 where it succeeded."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        # A name with letters that the terminal does not have must not end the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plain")
    asked = parser().parse_args(arguments)
    code: int = asked.run(asked)
    return code


if __name__ == "__main__":
    sys.exit(main())

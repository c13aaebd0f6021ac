"""Output for terminals that do not have all letters and signs."""

from __future__ import annotations

import codecs
import sys

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


def make_safe() -> None:
    """Have what a terminal lacks replaced: a letter in a name must not end a command."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plain")

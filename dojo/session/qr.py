"""The QR code of an address, with segno, which is in the extra `session`."""

from __future__ import annotations

import io
import sys
from importlib.util import find_spec


def is_possible() -> bool:
    """Whether segno is installed."""
    return find_spec("segno") is not None


def svg(text: str) -> bytes:
    """The code as an SVG; an empty picture where segno is missing."""
    if not is_possible():
        return b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    import segno

    drawn = io.BytesIO()
    segno.make(text, error="m").save(drawn, kind="svg", border=3, scale=8, light="#fff")
    return drawn.getvalue()


def for_terminal(text: str) -> str:
    """The code for the terminal; empty where that cannot show it."""
    try:
        "█▀▄".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ""
    if not is_possible() or not sys.stdout.isatty():
        return ""
    import segno

    drawn = io.StringIO()
    segno.make(text, error="l").terminal(drawn, border=2, compact=True)
    return drawn.getvalue()

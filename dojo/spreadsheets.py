"""Texts in tables that a spreadsheet will open."""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def as_text(text: str) -> str:
    """The text; with an apostrophe in front where a spreadsheet would compute it."""
    return f"'{text}" if text.startswith(FORMULA) else text

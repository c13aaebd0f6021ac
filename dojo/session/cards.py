"""What a card says, in parts: the story and the questions, as HTML."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from dojo.catalogue import Kata

STORY, CONTRACT, QUESTIONS = "The story", "The contract", "To talk about afterwards"
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def html_of(kata: Kata, section: str) -> Markup:
    """A section of a kata's card; empty where it has none."""
    return _section(kata.card, section)


@cache
def _section(card: Path, section: str) -> Markup:
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return Markup("")
    pieces = HEADING.split(text)
    found = dict(zip(pieces[1::2], pieces[2::2], strict=True)).get(section, "")
    # Markup in a card is shown as text.
    return Markup(MarkdownIt("commonmark", {"html": False}).render(found))

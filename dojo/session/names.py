"""The names of people and teams: what may be shown on a projector."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

LONGEST = 40
MOST_PEOPLE = 100


class NameRefusedError(ValueError):
    """A name that cannot be used; the message says why, and is fit to be shown."""


def clean(name: str, what: str = "name") -> str:
    """The name without space around it.

    Markup is allowed, because it is always shown as text. Control characters and signs that cannot
    be seen are not: they could change the direction of a line, or make two names look alike.

    Raises `NameRefusedError`.
    """
    cleaned = " ".join(unicodedata.normalize("NFC", name).split(" ")).strip()
    if not cleaned:
        raise NameRefusedError(f"the {what} is empty: give one with at least one letter")
    if len(cleaned) > LONGEST:
        raise NameRefusedError(
            f"the {what} has {len(cleaned)} characters: give one of at most {LONGEST}"
        )
    if not cleaned.isprintable():
        raise NameRefusedError(
            f"the {what} {cleaned!a} has a character that cannot be shown: "
            "use letters, digits, spaces and punctuation"
        )
    return cleaned


def key(name: str) -> str:
    """The same for names that only differ in case, width or space."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def clean_all(names: Iterable[str]) -> tuple[str, ...]:
    """The names of the people in the room, in their order.

    Raises `NameRefusedError`, also for a name that is given twice, and for too many of them.
    """
    people = tuple(clean(name) for name in names)
    if len(people) > MOST_PEOPLE:
        raise NameRefusedError(f"{len(people)} names are given: at most {MOST_PEOPLE} are possible")
    seen: dict[str, str] = {}
    for name in people:
        if key(name) in seen:
            raise NameRefusedError(
                f"{name!r} is given twice: add a letter, so that everybody knows who is meant"
            )
        seen[key(name)] = name
    return people

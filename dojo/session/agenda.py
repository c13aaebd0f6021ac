"""The agenda: the parts of an evening, and where in it we are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from dojo.session.actions import Action

MINUTE = 60.0  # seconds
WORK = "Kata"
RETROSPECTIVE = "Retrospective"


@dataclass(frozen=True)
class Part:
    """A part of the agenda and the minutes that are planned for it."""

    title: str
    minutes: int


# `docs/facilitating.md` says for each of these parts what to say and do.
AGENDAS = {
    60: (
        Part("Welcome and set-up", 8),
        Part("Introduction", 5),
        Part(WORK, 35),
        Part(RETROSPECTIVE, 12),
    ),
    90: (
        Part("Welcome and set-up", 10),
        Part("Introduction", 5),
        Part(WORK, 30),
        Part("Break and a look round", 10),
        Part(WORK, 20),
        Part(RETROSPECTIVE, 15),
    ),
    120: (
        Part("Welcome and set-up", 10),
        Part("Introduction", 5),
        Part(WORK, 40),
        Part("Break and a look round", 15),
        Part(WORK, 30),
        Part(RETROSPECTIVE, 20),
    ),
}


def parts_for(minutes: int) -> tuple[Part, ...]:
    """The agenda for so many minutes: the longest that fits, with more time for the katas.

    An agenda for less than 60 minutes has less time for everything.
    """
    planned = AGENDAS[max((m for m in AGENDAS if m <= minutes), default=min(AGENDAS))]
    total = sum(part.minutes for part in planned)
    if minutes < total:
        ends = [round(end * minutes / total) for end in accumulate(p.minutes for p in planned)]
        starts = [0, *ends]
        return tuple(
            Part(part.title, end - start)
            for part, start, end in zip(planned, starts, ends, strict=False)
        )
    work = [index for index, part in enumerate(planned) if part.title == WORK]
    more, rest = divmod(minutes - total, len(work))
    return tuple(
        Part(part.title, part.minutes + (more + (rest if index == work[0] else 0)))
        if index in work
        else part
        for index, part in enumerate(planned)
    )


@dataclass(frozen=True)
class Place:
    """Where in the agenda we are: the index of the part, and since when."""

    part: int
    since: float


def place_in(actions: Iterable[Action], parts: tuple[Part, ...], started: float) -> Place:
    """The place that the facilitator has moved to."""
    place = Place(0, started)
    for action in actions:
        if action.kind == "part" and place.part + 1 < len(parts):
            place = Place(place.part + 1, action.at)
        elif action.kind == "back" and place.part > 0:
            place = Place(place.part - 1, action.at)
    return place

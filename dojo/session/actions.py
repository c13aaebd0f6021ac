"""What the facilitator does, as a list of actions from which the state is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Each kind of action, in the words in which the page says what an undo would take back.
KINDS = {
    "turn": "next turn",
    "pause": "pause",
    "go on": "go on",
    "minute": "one more minute",
    "names": "change of names",
    "part": "next part of the agenda",
    "back": "previous part of the agenda",
    "kata": "choice of the kata",
    "predict": "prediction",
    "columns": "columns of the lights",
    "baby steps": "baby steps",
    "one spec": "one spec at a time",
    "free": "team may join again",
}
UNDO = "undo"
# What somebody outside the page has seen already cannot be taken back.
FINAL = frozenset({"free"})


@dataclass(frozen=True)
class Action:
    """Something that the facilitator did; `at` is the server's time in seconds since 1970."""

    at: float
    kind: str
    value: str = ""


def in_force(actions: Iterable[Action]) -> list[Action]:
    """The actions without those that were undone, and without the undoing.

    The result is as if what was undone had never happened: a turn whose pause is undone has run on.
    """
    kept: list[Action] = []
    for action in actions:
        if action.kind != UNDO:
            kept.append(action)
            continue
        last = undoable(kept)
        if last is not None:
            kept.remove(last)
    return kept


def undoable(kept: Sequence[Action]) -> Action | None:
    """The action that an undo would take back, of those in force."""
    return next((action for action in reversed(kept) if action.kind not in FINAL), None)

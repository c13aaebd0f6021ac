"""The turn: who is at the keyboard and for how long, computed from what the facilitator did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from dojo.session.actions import Action
from dojo.session.agenda import MINUTE

TurnState = Literal["waiting", "running", "paused", "over"]


@dataclass(frozen=True)
class Turn:
    """A turn, without a clock: it is asked with the time at hand, in seconds since 1970.

    `number` is 0 before the first turn. `place` is the driver's place among the names. `extra` are
    the seconds that were added, and `paused` those for which the clock stood.
    """

    length: float
    names: tuple[str, ...] = ()
    number: int = 0
    place: int = 0
    began: float = 0.0
    extra: float = 0.0
    paused: float = 0.0
    paused_at: float | None = None

    def elapsed(self, now: float) -> float:
        """The seconds that the clock of this turn has run."""
        until = now if self.paused_at is None else self.paused_at
        return max(0.0, until - self.began - self.paused)

    def remaining(self, now: float) -> float:
        """The seconds that are left; below 0 when the turn is over."""
        if self.number == 0:
            return self.length
        return self.length + self.extra - self.elapsed(now)

    @property
    def ends_at(self) -> float | None:
        """When it will be over, or was; None while the clock does not run."""
        if self.number == 0 or self.paused_at is not None:
            return None
        return self.began + self.paused + self.length + self.extra

    def state(self, now: float) -> TurnState:
        """How it stands."""
        if self.number == 0:
            return "waiting"
        if self.remaining(now) <= 0:
            return "over"
        return "running" if self.paused_at is None else "paused"

    def person(self, places_on: int) -> str | None:
        """The name so many places after the driver, going round; None where there is no other."""
        if not self.names or (places_on and places_on % len(self.names) == 0):
            return None
        return self.names[(self.place + places_on) % len(self.names)]

    @property
    def driver(self) -> str | None:
        """Who is at the keyboard."""
        return self.person(0)

    @property
    def navigator(self) -> str | None:
        """Who says what to type, and drives next."""
        return self.person(1)

    @property
    def comes_in(self) -> str | None:
        """Who navigates next."""
        return self.person(2)


def turn_of(actions: Iterable[Action], length: float, names: tuple[str, ...]) -> Turn:
    """The turn that a list of actions leads to; what cannot be done in a state does nothing."""
    turn = Turn(length, names)
    for action in actions:
        turn = _after(turn, action)
    return turn


def _after(turn: Turn, action: Action) -> Turn:
    state = turn.state(action.at)
    if action.kind == "turn":
        place = (turn.place + 1) % max(1, len(turn.names)) if turn.number else 0
        return Turn(turn.length, turn.names, turn.number + 1, place, began=action.at)
    if action.kind == "pause" and state == "running":
        return replace(turn, paused_at=action.at)
    if action.kind == "go on" and turn.paused_at is not None:
        return replace(turn, paused_at=None, paused=turn.paused + action.at - turn.paused_at)
    if action.kind == "minute" and turn.number:
        # After the end, a minute from now on; the time that has passed since is not taken off it.
        late = max(0.0, -turn.remaining(action.at))
        return replace(turn, extra=turn.extra + late + MINUTE)
    if action.kind == "names":
        names = tuple(action.value.split("\n")) if action.value else ()
        return replace(turn, names=names, place=_place(turn, names))
    return turn


def _place(turn: Turn, names: tuple[str, ...]) -> int:
    """The driver's place in new names; one who has left leaves it to the one before."""
    if turn.driver in names:
        return names.index(turn.driver)
    before = [turn.names[i] for i in range(turn.place - 1, -1, -1)] if turn.names else []
    return next((names.index(name) for name in before if name in names), 0)

"""What the facilitator has set and done, and what follows from it: the plan of a session."""

from __future__ import annotations

from collections.abc import Sequence

from dojo.session.actions import KINDS, Action, in_force, undoable
from dojo.session.agenda import Place, parts_for, place_in
from dojo.session.messages import Rituals
from dojo.session.settings import Settings
from dojo.session.turn import Turn, turn_of


class Plan:
    """The settings of a session and the actions of its facilitator, without a clock."""

    def __init__(self, settings: Settings, started: float, actions: Sequence[Action]) -> None:
        self.settings, self.started = settings, started
        self.actions = list(actions)
        self.parts = parts_for(settings.minutes)

    @property
    def done(self) -> list[Action]:
        """The actions in force."""
        return in_force(self.actions)

    @property
    def would_undo(self) -> str:
        """What an undo would take back, in words; empty where there is nothing."""
        last = undoable(self.done)
        return KINDS[last.kind] if last else ""

    @property
    def turn(self) -> Turn:
        """The turn."""
        return turn_of(self.done, self.settings.turn * 60, self.settings.names)

    @property
    def place(self) -> Place:
        """Where in the agenda we are."""
        return place_in(self.done, self.parts, self.started)

    @property
    def kata(self) -> str:
        """The kata at hand, by its full name."""
        return self._last("kata", self.settings.katas[0])

    @property
    def columns(self) -> str:
        """What a column of the lights is: `runs` or `minutes`."""
        return self._last("columns", "runs")

    @property
    def rituals(self) -> Rituals:
        """The rituals in force."""
        return Rituals(
            baby_steps=float(self._last("baby steps", str(self.settings.baby_steps))),
            one_spec=self._last("one spec", "1" if self.settings.one_spec else "0") == "1",
        )

    @property
    def baby_steps_since(self) -> float:
        """When the ritual of baby steps began."""
        at = [action.at for action in self.done if action.kind == "baby steps"]
        return at[-1] if at else self.started

    def _last(self, kind: str, otherwise: str) -> str:
        return next((a.value for a in reversed(self.done) if a.kind == kind), otherwise)

    @property
    def said(self) -> Action | None:
        """The last prediction of the room."""
        return next((a for a in reversed(self.done) if a.kind == "predict"), None)

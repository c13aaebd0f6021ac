"""A team and its lights, in the order in which the runs ended."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dojo.session.store import LightRow, TeamRow


@dataclass
class Team:
    """A team; its lights are sorted by the time of the run, whenever they arrived."""

    row: TeamRow
    lights: list[LightRow] = field(default_factory=list)
    known: set[tuple[str, str]] = field(default_factory=set)

    def add(self, light: LightRow) -> None:
        """Take in a light, in its place."""
        bisect.insort(self.lights, light, key=lambda other: other.at)
        self.known.add((light.run, light.kata))

    def knows(self, run: str, kata: str) -> bool:
        """Whether the light of this run and kata is here already."""
        return (run, kata) in self.known

    @property
    def current(self) -> LightRow | None:
        """The light of the last run."""
        return self.lights[-1] if self.lights else None

    def path(self) -> dict[str, LightRow]:
        """The last light of each kata."""
        return {light.kata: light for light in self.lights}

    def step_began(self, since: float) -> float | None:
        """When the baby step at hand began: at the last run that passed one more spec.

        `since` is when the ritual began. None while there was no run since.
        """
        began: float | None = None
        best: dict[str, int] = {}
        for light in self.lights:
            more = light.passed > best.get(light.kata, -1)
            best[light.kata] = max(light.passed, best.get(light.kata, 0))
            if light.at < since:
                continue
            if began is None or more or light.light == "green" or light.went_back:
                began = light.at
        return began


@dataclass(frozen=True)
class Predictions:
    """How often the room was right about the light of the next run."""

    right: int
    total: int


def predictions_of(lights: Iterable[LightRow]) -> Predictions:
    """Count the predictions: one that some specs are green is right where all are, too."""
    predicted = [light for light in lights if light.predicted is not None]
    return Predictions(sum(light.predicted == light.light for light in predicted), len(predicted))


def group(teams: Iterable[TeamRow], lights: Iterable[LightRow]) -> dict[int, Team]:
    """The teams with their lights, by number."""
    grouped: Mapping[int, Team] = {row.id: Team(row) for row in teams}
    for light in lights:
        grouped[light.team].add(light)
    return dict(grouped)

"""What `dojo watch` knows: the kata at hand, how its specs went, and what is to be shown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dojo.catalogue import Kata
from dojo.commands.standing import Standing
from dojo.plugin.failures import Failure
from dojo.plugin.score import Score

CALM = 0.7  # s for which the details of the last run stay at most


@dataclass
class State:
    """The state of a watch.

    `score` is that of the last run of `kata`, or of the run that is under way. `ms` is how long the
    last run took, from the save or the key to its end, and `red_ms` to its first red spec.
    `trouble` says why nothing can run. `page` is what the screen shows: the verdict, or something
    that a key has asked for. `before` is the score of the run before the one that is under way,
    which began at `began`.
    """

    root: Path
    katas: dict[str, Kata]
    kata: Kata
    score: Score
    lights: dict[str, str] = field(default_factory=dict)
    running: bool = False
    ms: int | None = None
    red_ms: int | None = None
    trouble: str = ""
    notice: str = ""
    hints: int = 0
    page: str = "verdict"
    scores: dict[str, Score] = field(default_factory=dict)
    before: Score | None = None
    began: float = 0.0

    @classmethod
    def begin(cls, root: Path, standings: Sequence[Standing], kata: Kata) -> State:
        """The state before the first run."""
        katas = {standing.kata.name: standing.kata for standing in standings}
        lights = {standing.kata.name: standing.light for standing in standings}
        return cls(root, katas, kata, Score(kata), lights)

    def move_to(self, kata: Kata) -> None:
        """Make another kata the one at hand."""
        if kata.name != self.kata.name:
            self.hints = 0
        self.kata, self.page = kata, "verdict"
        self.score = self.scores.get(kata.name, Score(kata))
        self.ms = self.red_ms = None

    @property
    def seen(self) -> Score:
        """The score whose details are seen: at first the one before, so that nothing flickers.

        That is so until a spec is red again, or the first one that was has passed.
        """
        before = self.before
        if not self.running or before is None:
            return self.score
        first = next((spec for spec in before.specs if spec in before.red), None)
        known = bool(self.score.red) or first in self.score.passed
        return self.score if known or time.perf_counter() - self.began >= CALM else before

    @property
    def first(self) -> Failure | None:
        """The first red spec."""
        return next(iter(self.seen.failures), None)

    @property
    def reference(self) -> Path | None:
        """The reference solution of the kata at hand, where there is one."""
        file = self.kata.reference
        return file if file.is_file() else None

    def following(self) -> Kata | None:
        """The next kata that is not green, behind this one or else from the beginning."""
        names = list(self.katas)
        place = names.index(self.kata.name) + 1
        for name in (*names[place:], *names[: place - 1]):
            if self.lights.get(name) != "green":
                return self.katas[name]
        return None

    def beside(self, step: int) -> Kata:
        """The kata so many places behind this one, in a circle."""
        names = list(self.katas)
        return self.katas[names[(names.index(self.kata.name) + step) % len(names)]]

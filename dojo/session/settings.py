"""What a session is about: katas, times, names, format and rituals, as the facilitator set them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, get_args

Format = Literal["randori", "pairs", "teams", "solo", "remote"]
FORMATS = get_args(Format)
PORT = 8700  # of the page
# What the page says about each format, in a line.
EXPLAINED = {
    "randori": "one keyboard, and everybody takes a turn at it",
    "pairs": "two at each machine, who swap when the turn ends",
    "teams": "each team at its own machine, with turns inside the team",
    "solo": "everybody at a machine of their own",
    "remote": "everybody at home, and the keyboard goes from one to the next",
}


class SettingsError(ValueError):
    """Settings that cannot be used; the message says which, and what to give."""


@dataclass(frozen=True)
class Settings:
    """The settings of a session. `katas` are full names, times are minutes."""

    katas: tuple[str, ...]
    minutes: int = 60
    turn: float = 7.0
    names: tuple[str, ...] = ()
    format: Format = "teams"
    baby_steps: float = 0.0
    one_spec: bool = False

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises `SettingsError`.
        """
        _between("--minutes", self.minutes, 20, 480)
        _between("--turn", self.turn, 0.05, 120)
        if self.baby_steps:
            _between("--baby-steps", self.baby_steps, 0.05, 60)
        if not self.katas:
            raise SettingsError("a session needs a kata: give one with --kata, like --kata k03")

    def written(self) -> str:
        """As JSON, for the database."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Settings:
        """From JSON."""
        fields = json.loads(text)
        fields["katas"], fields["names"] = tuple(fields["katas"]), tuple(fields["names"])
        return cls(**fields)


def _between(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also false for nan
        raise SettingsError(f"{option} is {value:g}: give minutes from {low:g} to {high:g}")

"""The traffic light of a kata, made from the lights of its specs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Light = Literal["green", "red", "amber", "grey"]


def light_of(specs: Iterable[str]) -> Light:
    """Combine the lights of specs that ran; `silent` stands for a spec that gave no result."""
    lights = set(specs)
    if "amber" in lights or lights == {"silent"}:
        return "amber"
    if lights == {"grey"}:
        return "grey"
    return "green" if lights == {"green"} else "red"

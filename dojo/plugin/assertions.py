"""Explain assertions that failed: what they compared, or what pytest says of a value.

pytest hands its own explanation over as text. This module is the only one that reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dojo.harness.frames import shortened
from dojo.harness.tasks import Tasks
from dojo.harness.timeline import Order, Timeline
from dojo.plugin import render
from dojo.plugin.causes import response_of, unexpected_responses, why_disorder, why_refused
from dojo.plugin.failures import Comparison, Response
from dojo.plugin.values import ADDRESS, compared, failed, without_stand_ins

VALUE = 400
ASKED = re.compile(r"\s*\+\s+where (?:True|False) = (.+)")
ASKING = (
    (re.compile(r"all\((.+)\)"), "all of them to be there"),
    (re.compile(r"any\((.+)\)"), "one of them to be there"),
    (re.compile(r"isinstance\((.+), (.+)\)"), "a value of the type {}"),
)


@dataclass
class Explanation:
    """The reason why an assertion failed; `headline` stands in for a message of the spec."""

    compared: Comparison = field(default_factory=Comparison)
    headline: str = ""
    likely: list[str] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)


_last: tuple[Timeline, Explanation] | None = None


def explain(
    op: str, left: object, right: object, timeline: Timeline, tasks: Tasks | None
) -> list[str] | None:
    """The lines that pytest shows for `assert left op right`; None where its own are better."""
    global _last
    if not failed(op, left, right):
        return None
    if isinstance(left, Order) and isinstance(right, list) and op == "==":
        timeline.mark_disorder(left, right)
        wrong, why = why_disorder(left, right, timeline, tasks.added if tasks else [])
        found = Explanation(Comparison(_listed(left), _listed(right)), wrong, [why])
    else:
        exchanges = list(unexpected_responses(left, right))
        found = Explanation(
            compared(op, left, right),
            likely=[reason for exchange in exchanges for reason in why_refused(exchange)],
            responses=[response_of(exchange) for exchange in exchanges],
        )
    _last = timeline, found
    return [f"left {op} right", *_lines(found)]


def _lines(found: Explanation) -> list[str]:
    return [line for detail in render.compared(found.compared) for line in detail.lines()]


def _listed(names: list[str]) -> str:
    return ", then ".join(names) if names else "nothing of the kind"


def explanation_of(
    error: AssertionError, timeline: Timeline | None
) -> tuple[list[str], Explanation]:
    """The lines of the spec's own message, and why its assertion failed."""
    said, _, explained = f"\n{error}".partition("\nassert ")
    message = list(dict.fromkeys(line.strip() for line in said.splitlines() if line.strip()))
    if _last is not None and timeline is _last[0] and _lines(_last[1])[0] in explained:
        return message, _last[1]
    return message, Explanation(_truth(explained) if explained else Comparison())


def _truth(explained: str) -> Comparison:
    """The value in pytest's words that should be true, or not; empty where it has no plain form."""
    first, *rest = explained.splitlines()
    wanted = "something else" if first.startswith("not ") else "something that is true"
    value = first.removeprefix("not ")
    asked = [found[1] for line in rest if (found := ASKED.match(line))]
    if value in ("True", "False") and asked:
        value, wanted = _asked(asked[0], wanted)
    if ADDRESS.search(value):
        return Comparison()
    return Comparison(shortened(without_stand_ins(value), VALUE), wanted)


def _asked(call: str, wanted: str) -> tuple[str, str]:
    """The values that a call with the result True or False was given, and what was wanted."""
    for pattern, expected in ASKING:
        found = pattern.fullmatch(call)
        if found is not None:
            return found[1], expected.format(*found.groups()[1:])
    return call, wanted

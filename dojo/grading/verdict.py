"""The verdict on a submitted solution, from the report of the process of its specs.

No code of the solution runs in that process, so its outcomes are believed. What no honest program
can do, to forge what it says to the specs, costs the points; evidence of weight asks a person to
decide, and takes none.
"""

from __future__ import annotations

from typing import Any

from dojo.catalogue import Kata
from dojo.grading.results import (
    MESSAGE,
    TIMELINE,
    KataResult,
    SpecResult,
    State,
    is_essential,
    nothing_passed,
    spread,
)
from dojo.grading.routes import asked_for
from dojo.grading.sandbox.protocol import JobReport
from dojo.grading.submissions import SubmittedFile
from dojo.grading.worker_pool import Specs
from dojo.lights import light_of
from dojo.plugin import render
from dojo.plugin.failures import Failure

EVIDENCE = 100


def not_run(kata: Kata, specs: Specs, file: SubmittedFile) -> KataResult:
    """The verdict on a solution that could not be read."""
    if file.missing:
        return nothing_passed(kata, specs, file.path, f"there is no {file.path}")
    result = nothing_passed(kata, specs, file.path, file.refused or file.trouble)
    if file.refused:
        result.light = "amber"
        result.evidence = [file.refused]
    else:
        result.state, result.cause = State.UNGRADABLE, file.trouble
    return result


def verdict(kata: Kata, specs: Specs, file: str, report: JobReport) -> KataResult:
    """The result of one kata; `file` is the path of the solution within the submission."""
    result = nothing_passed(kata, specs, file, "")
    heavy = list(dict.fromkeys(map(clean, report.heavy)))
    others = (entry for entry in map(clean, report.evidence) if entry not in heavy)
    result.evidence = [*heavy, *dict.fromkeys(others)][:EVIDENCE]
    if report.trouble:
        result.state, result.cause = State.UNGRADABLE, clean(report.trouble)
        for spec in result.specs:
            spec.message = f"could not be graded: {result.cause}"
        return result
    outcomes = {str(outcome["spec"]): outcome for outcome in report.outcomes}
    points = spread(kata.points, len(specs))
    lights: set[str] = set()
    result.specs = []
    for (name, title), worth in zip(specs, points, strict=True):
        spec, light = _spec(name, title, worth, outcomes.get(name), report)
        spec.essential = is_essential(kata, name)
        result.specs.append(spec)
        lights.add(light)
    result.light = light_of(lights)
    if heavy:
        result.state, result.cause = State.REVIEW, heavy[0]
    if report.tampered:
        result.state = State.TAMPERED
        result.cause = clean(report.tampered[0])
        result.evidence = [*map(clean, dict.fromkeys(report.tampered)), *result.evidence]
        if result.light == "green":
            result.light = "red"
    return result


def _spec(
    name: str,
    title: str,
    worth: float,
    own: dict[str, Any] | None,
    report: JobReport,
) -> tuple[SpecResult, str]:
    spec = SpecResult(id=name, title=title, passed=False, points=worth)
    ended = report.ended or "its process stopped reporting"
    if own is None:
        spec.message = clean(f"no result: {ended}")
        return spec, "silent"
    spec.seconds = float(own.get("seconds", 0.0))
    if own["passed"] is True:
        spec.passed = True
        return spec, "green"
    found = Failure.read(own["failure"])
    spec.message = clean(found.text(), MESSAGE) or "it failed"
    lines = render.timeline_lines(found.timeline)
    spec.timeline = [clean(line, 200) for line in lines[:TIMELINE]]
    spec.printed = clean(found.printed, 3_000)
    spec.line = found.line or asked_for(found.request, report.routes)
    return spec, str(found.light)


def clean(text: object, length: int = 500) -> str:
    """Text from a solution's process, made printable and at most `length` characters long."""
    whole = str(text).encode("utf-8", "replace").decode()
    whole = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in whole)
    return whole if len(whole) <= length else f"{whole[: length - 1]}…"

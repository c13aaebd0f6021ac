"""The verdict on a submitted solution, from the report of the process that ran it.

A report is believed only as far as it is consistent: each spec that is known beforehand must have
passed, and its control must have failed. What no honest program can do costs the points; evidence
of weight asks a person to decide, and takes none.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

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
# How the messages of all limits say how long they waited.
LATE = re.compile(r"\bwithin [\d.]+ s\b")


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


def late_in_one_run(report: JobReport) -> set[str]:
    """The specs that ran into a time limit in one of their two runs only.

    The machine may have been the reason.
    """
    ended: dict[str, list[bool]] = {}
    late = set()
    for outcome in report.outcomes:
        spec = str(outcome.get("spec"))
        ended.setdefault(spec, []).append(bool(outcome.get("reached")))
        failure = outcome.get("failure")
        if not outcome.get("reached") and isinstance(failure, dict):
            text = f"{failure.get('message')} {failure.get('so')}"
            if LATE.search(text):
                late.add(spec)
    return {spec for spec in late if True in ended[spec]}


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
    tampered = list(report.tampered)
    if report.broken:
        tampered.append("something other than the specs wrote to the result pipe")
    known = {name for name, _ in specs}
    own: dict[str, dict[str, Any]] = {}
    controls: dict[str, dict[str, Any]] = {}
    for outcome in report.outcomes:
        side = controls if outcome.get("control") else own
        name = str(outcome.get("spec"))
        if name in side or name not in known:
            tampered.append(f"a result for a spec that was not due: {name}")
        side[name] = outcome
    points = spread(kata.points, len(specs))
    lights: set[str] = set()
    result.specs = []
    for (name, title), worth in zip(specs, points, strict=True):
        if controls.get(name, {}).get("passed") is True:
            tampered.append(f"a control passed, which must fail: {title}")
        if own.get(name, {}).get("passed") is True and not own[name].get("reached"):
            tampered.append(f"a spec was reported as passed before it had ended: {title}")
        try:
            spec, light = _spec(name, title, worth, own.get(name), controls.get(name), report)
        except (ValidationError, TypeError, ValueError, AttributeError, KeyError):
            tampered.append(f"an invalid result of a spec: {title}")
            spec, light = SpecResult(id=name, title=title, passed=False, points=worth), "red"
        spec.essential = is_essential(kata, name)
        result.specs.append(spec)
        lights.add(light)
    result.light = light_of(lights)
    if heavy:
        result.state, result.cause = State.REVIEW, heavy[0]
    if tampered:
        result.state = State.TAMPERED
        result.cause = clean(tampered[0])
        result.evidence = [*map(clean, dict.fromkeys(tampered)), *result.evidence]
        if result.light == "green":
            result.light = "red"
    return result


def _spec(
    name: str,
    title: str,
    worth: float,
    own: dict[str, Any] | None,
    control: dict[str, Any] | None,
    report: JobReport,
) -> tuple[SpecResult, str]:
    spec = SpecResult(id=name, title=title, passed=False, points=worth)
    ended = report.ended or "its process stopped reporting"
    if own is None:
        spec.message = clean(f"no result: {ended}")
        return spec, "silent"
    spec.seconds = float(own.get("seconds", 0.0))
    if own["passed"] is True:
        if control is None:
            spec.message = clean(f"no result of the control run: {ended}")
            return spec, "silent"
        if not control.get("reached"):
            again = Failure.read(control["failure"]) if control["failure"] else None
            again_text = clean(again.text(), MESSAGE) if again else ""
            spec.message = f"it passed in one run and failed in the other: {again_text}"
            return spec, "red"
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

"""The grader: gives each answer to the warm worker, and puts the verdicts together.

It runs no answer itself, and believes what a process with an answer in it says only as far as it
fits together: each spec that is known beforehand must have passed, and its control failed.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pydantic import ValidationError

from dojo.catalogue import Kata
from dojo.grading.results import (
    MESSAGE,
    TIMELINE,
    KataResult,
    Light,
    SpecResult,
    State,
    SubmissionResult,
    nothing_passed,
    spread,
)
from dojo.grading.routes import asked_for
from dojo.grading.sandbox.policy import Limits
from dojo.grading.sandbox.protocol import Job, Said
from dojo.grading.submissions import Answer, HandedIn
from dojo.grading.worker_pool import Specs, WorkerPool
from dojo.plugin.failures import Failure

REMEMBERED = 64
AHEAD = 4
LINE = re.compile(r"\bapp\.py:(\d+)\b")


class Grader:
    """Grades submissions, each kata of each in a process of its own, several at a time."""

    def __init__(
        self, worker_pool: WorkerPool, katas: Sequence[Kata], limits: Limits, jobs: int
    ) -> None:
        self.worker_pool = worker_pool
        self.katas = katas
        self.limits = limits
        self.jobs = jobs
        self._known: OrderedDict[tuple[str, bytes], KataResult] = OrderedDict()
        self._lock = threading.Lock()

    def grade(self, handed_in: Iterable[HandedIn]) -> Iterator[tuple[HandedIn, SubmissionResult]]:
        """Grade in the order given; a result comes as soon as those before it are there."""
        pool = ThreadPoolExecutor(self.jobs, thread_name_prefix="grade")
        under_way: deque[tuple[HandedIn, list[Future[KataResult]]]] = deque()
        try:
            for submission in handed_in:
                futures = [
                    pool.submit(self.grade_answer, kata, submission.answers[kata.name])
                    for kata in self.katas
                ]
                under_way.append((submission, futures))
                while len(under_way) > AHEAD * self.jobs:
                    yield _together(*under_way.popleft())
            while under_way:
                yield _together(*under_way.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def grade_answer(self, kata: Kata, answer: Answer) -> KataResult:
        """Grade one answer; the same bytes get the same verdict, and are run once."""
        specs = self.worker_pool.specs[kata.name]
        if answer.source is None:
            return not_run(kata, specs, answer)
        key = (kata.name, hashlib.sha256(answer.source).digest())
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            return known.model_copy(update={"file": answer.file, "seconds": 0.0})
        job = Job(
            kata.name,
            answer.source.decode("utf-8", "surrogateescape"),
            self.limits,
        )
        began = time.monotonic()
        said = self.worker_pool.run(job)
        try:
            result = verdict(kata, specs, answer.file, said)
        except Exception as error:
            # Whatever an answer has made of it, the others are graded.
            said = Said(trouble=f"the grader could not read what was said: {error!r}")
            result = verdict(kata, specs, answer.file, said)
        result.seconds = round(time.monotonic() - began, 3)
        if result.state is not State.UNGRADABLE:
            with self._lock:
                self._known[key] = result
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        return result


def _together(
    submission: HandedIn, futures: list[Future[KataResult]]
) -> tuple[HandedIn, SubmissionResult]:
    katas = [future.result() for future in futures]
    seconds = round(sum(kata.seconds for kata in katas), 3)
    return submission, SubmissionResult(name=submission.name, seconds=seconds, katas=katas)


def not_run(kata: Kata, specs: Specs, answer: Answer) -> KataResult:
    """The verdict on an answer that there is no file of."""
    if answer.missing:
        return nothing_passed(kata, specs, answer.file, f"there is no {answer.file}")
    result = nothing_passed(kata, specs, answer.file, answer.refused or answer.trouble)
    if answer.refused:
        result.light = "amber"
        result.evidence = [answer.refused]
    else:
        result.state, result.cause = State.UNGRADABLE, answer.trouble
    return result


def verdict(kata: Kata, specs: Specs, file: str, said: Said) -> KataResult:
    """What is to be believed of what was said about an answer."""
    result = nothing_passed(kata, specs, file, "")
    result.evidence = [clean(entry) for entry in said.evidence[:100]]
    if said.trouble:
        result.state, result.cause = State.UNGRADABLE, clean(said.trouble)
        for spec in result.specs:
            spec.message = f"could not be graded: {result.cause}"
        return result
    tampered = list(said.tampered)
    if said.broken:
        tampered.append("something else than the specs wrote to the pipe of the results")
    known = {name for name, _ in specs}
    own: dict[str, dict[str, Any]] = {}
    controls: dict[str, dict[str, Any]] = {}
    for outcome in said.outcomes:
        side = controls if outcome.get("control") else own
        name = str(outcome.get("spec"))
        if name in side or name not in known:
            tampered.append(f"a result that nobody asked for: {name}")
        side[name] = outcome
    points = spread(kata.points, len(specs))
    lights: set[str] = set()
    result.specs = []
    for (name, title), worth in zip(specs, points, strict=True):
        if controls.get(name, {}).get("passed") is True:
            tampered.append(f"a control passed, which must fail: {title}")
        if own.get(name, {}).get("passed") is True and not own[name].get("reached"):
            tampered.append(f"a spec was called passed that had not come to its end: {title}")
        try:
            spec, light = _spec(name, title, worth, own.get(name), controls.get(name), said)
        except (ValidationError, TypeError, ValueError, AttributeError):
            tampered.append(f"a result that no spec gives: {title}")
            spec, light = SpecResult(id=name, title=title, passed=False, points=worth), "red"
        result.specs.append(spec)
        lights.add(light)
    result.light = _light(lights)
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
    said: Said,
) -> tuple[SpecResult, str]:
    spec = SpecResult(id=name, title=title, passed=False, points=worth)
    ended = said.ended or "its process stopped telling"
    if own is None:
        spec.message = clean(f"no result: {ended}")
        return spec, "silent"
    spec.seconds = float(own.get("seconds", 0.0))
    if own["passed"] is True:
        if control is None:
            spec.message = clean(f"not to be believed without its control: {ended}")
            return spec, "silent"
        if not control.get("reached"):
            again = Failure.read(control["failure"]) if control["failure"] else None
            said_again = clean(again.text(), MESSAGE) if again else ""
            spec.message = f"it passed once, and once it did not: {said_again}"
            return spec, "red"
        spec.passed = True
        return spec, "green"
    found = Failure.read(own["failure"])
    spec.message = clean(found.text(), MESSAGE) or "it failed"
    spec.timeline = [clean(line, 200) for line in found.timeline[:TIMELINE]]
    spec.printed = clean(found.printed, 3_000)
    told = LINE.findall("\n".join(found.frames)) or LINE.findall(found.message)
    spec.line = int(told[-1]) if told else asked_for(found.timeline, said.places)
    return spec, str(found.light)


def _light(lights: set[str]) -> Light:
    """As the board has it: see `dojo.plugin.summary.Score.light`."""
    if "amber" in lights or lights == {"silent"}:
        return "amber"
    if lights == {"grey"}:
        return "grey"
    return "green" if lights == {"green"} else "red"


def clean(text: object, length: int = 500) -> str:
    """Text from an answer's process, so that it can be written and shown anywhere."""
    whole = str(text).encode("utf-8", "replace").decode()
    whole = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in whole)
    return whole if len(whole) <= length else f"{whole[: length - 1]}…"

"""The grader: gives each answer to the warm worker, and puts the verdicts together.

It runs no answer itself, and believes what a process with an answer in it says only as far as it
fits together: each spec that is known beforehand must have passed, and its control failed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from dojo.catalogue import Kata
from dojo.finding import Finding
from dojo.grading.cell import Limits
from dojo.grading.results import (
    MESSAGE,
    TIMELINE,
    Isolation,
    KataResult,
    Light,
    SpecResult,
    State,
    SubmissionResult,
    nothing_passed,
    spread,
)
from dojo.grading.submissions import Answer, HandedIn
from dojo.grading.wire import Job, Said, receive, send

READY = 60.0
PATIENCE = 20.0
REMEMBERED = 64
LINE = re.compile(r"\bapp\.py:(\d+)\b")

Specs = list[tuple[str, str]]


class CannotGrade(Exception):
    """The grader does not work on this machine; the message says why, and what to do."""


class Warden:
    """Keeps one warm worker alive, and hands it jobs from any number of threads."""

    def __init__(self, root: Path, katas: Sequence[Kata], limits: Limits, hidden: tuple[Path, ...]):
        self.root = root
        self.katas = katas
        self.limits = limits
        self.hidden = hidden
        self.isolation = Isolation()
        self.specs: dict[str, Specs] = {}
        self._lock = threading.Lock()
        self._alone = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._scratch = Path(tempfile.mkdtemp(prefix="dojo-grade-"))
        self._scratch.chmod(0o755)
        self._closed = False

    def __enter__(self) -> Warden:
        with self._lock:
            self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        with self._lock:
            self._closed = True
            self._stop()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _start(self) -> None:
        """Start a worker, and wait until it is warm."""
        ours, theirs = socket.socketpair()
        log = self._scratch / "worker.log"
        cell = self._scratch / "cell"
        shutil.rmtree(cell, ignore_errors=True)
        cell.mkdir()
        cell.chmod(0o755)
        with theirs, log.open("wb") as errors:
            self._worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "dojo.grading.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=cell,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        self._socket = ours
        ours.settimeout(READY)
        first = {
            "root": str(self.root),
            "scratch": str(cell),
            "hidden": [str(path) for path in self.hidden],
            "limits": asdict(self.limits),
            "specs": [str(kata.spec_file) for kata in self.katas],
            "answers": str(self.root / "katas"),
        }
        try:
            send(ours, first)
            isolation, _ = receive(ours)
            specs, _ = receive(ours)
        except OSError:
            isolation = specs = None
        ours.settimeout(PATIENCE)
        if isolation is None or specs is None:
            self._stop()
            said = " ".join(log.read_text(errors="replace").split())[-300:]
            raise CannotGrade(f"the worker does not start: {said or 'it said nothing'}")
        self.isolation = Isolation(**isolation)
        self.specs = {kata: [(i, title) for i, title in s] for kata, s in specs["specs"].items()}
        lacking = [kata.name for kata in self.katas if not self.specs.get(kata.name)]
        if lacking:
            self._stop()
            raise CannotGrade(f"the specs of {', '.join(lacking)} could not be collected")

    def _stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._worker is not None:
            with suppress(OSError):
                self._worker.send_signal(signal.SIGKILL)
            self._worker.wait()
        self._worker = self._socket = None

    def run(self, job: Job) -> Said:
        """Have a job done; where the worker dies over it, once more and alone."""
        said = self._run(job)
        if said is None:
            with self._alone:
                said = self._run(job)
        if said is None:
            said = Said(trouble="the grader's worker died over it, twice")
        return said

    def _run(self, job: Job) -> Said | None:
        """None where the worker did not survive."""
        reading, writing = os.pipe()
        try:
            try:
                with self._lock:
                    if self._closed:
                        return Said(trouble="the grader was stopped")
                    if self._worker is None or self._worker.poll() is not None:
                        self._stop()
                        self._start()
                    worker, to = self._worker, self._socket
                    assert worker is not None
                    assert to is not None
                    send(to, job.write(), (writing,))
            finally:
                os.close(writing)
            with os.fdopen(os.dup(reading), "rb") as pipe:
                timer = threading.Timer(job.limits.seconds + PATIENCE, worker.kill)
                timer.start()
                try:
                    content = pipe.read()
                finally:
                    timer.cancel()
        except (OSError, CannotGrade) as error:
            return Said(trouble=f"the grader's worker could not be reached: {error}")
        finally:
            os.close(reading)
        try:
            return Said.read(json.loads(content))
        except ValueError:
            return None


def _environment() -> dict[str, str]:
    """What the worker, and so every answer, may see of the grader's environment."""
    kept = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP", "VIRTUAL_ENV")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUTF8": "1",
    }


class Grader:
    """Grades submissions, each kata of each in a process of its own, several at a time."""

    def __init__(self, warden: Warden, katas: Sequence[Kata], limits: Limits, jobs: int) -> None:
        self.warden = warden
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
                while len(under_way) > self.jobs + 1:
                    yield _together(*under_way.popleft())
            while under_way:
                yield _together(*under_way.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def grade_answer(self, kata: Kata, answer: Answer) -> KataResult:
        """Grade one answer; the same bytes get the same verdict, and are run once."""
        specs = self.warden.specs[kata.name]
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
            kata.stub.read_text(encoding="utf-8"),
            self.limits,
        )
        began = time.monotonic()
        said = self.warden.run(job)
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
    own: dict[str, dict[str, Any]] = {}
    controls: dict[str, dict[str, Any]] = {}
    for outcome in said.outcomes:
        side = controls if outcome.get("control") else own
        name = str(outcome.get("spec"))
        if name in side or name not in dict(specs):
            tampered.append(f"a result that nobody asked for: {name}")
        side[name] = outcome
    points = spread(kata.points, len(specs))
    lights: set[str] = set()
    result.specs = []
    for (name, title), worth in zip(specs, points, strict=True):
        if controls.get(name, {}).get("passed") is True:
            tampered.append(f"a control passed, which must fail: {title}")
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
        spec.passed = True
        return spec, "green"
    found = Finding.read(own["finding"])
    spec.message = clean(found.text(), MESSAGE) or "it failed"
    spec.timeline = [clean(line, 200) for line in found.timeline[:TIMELINE]]
    spec.printed = clean(found.printed, 3_000)
    told = LINE.findall("\n".join(found.frames)) or LINE.findall(found.message)
    spec.line = int(told[-1]) if told else 0
    return spec, str(found.light)


def _light(lights: set[str]) -> Light:
    """As the board has it: see `dojo.board.Score.light`."""
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

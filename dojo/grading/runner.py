"""The runner: in the process of an answer, each spec on the answer and on its control."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio

from dojo.answers import DoesNotLoad
from dojo.exchange import Client
from dojo.finding import Finding, title_of
from dojo.fixtures import KATA
from dojo.grading import guard
from dojo.grading.controls import Decoy
from dojo.grading.places import routes
from dojo.grading.wire import Job
from dojo.stage import Stage, client_of, loaded

DECOYS = 3

Say = Callable[[dict[str, Any]], None]


class Runner:
    """A pytest plugin that runs the specs of one kata, each on the answer and on a control.

    The control is the answer's own code with nothing to show for it: see `dojo.grading.controls`.
    """

    def __init__(self) -> None:
        self.trees: dict[bool, Path] = {}
        self.control = False
        self.decoy = False
        self.stub: ModuleType | None = None
        self.rooms: Callable[[], Path] = Path
        self.reports: list[pytest.TestReport] = []

    # What a spec asks for: as `dojo.fixtures` has it, with the answer or the control in it.

    @pytest.fixture
    def tmp_path(self) -> Iterator[Path]:
        room = self.rooms()
        room.mkdir()
        yield room
        shutil.rmtree(room, ignore_errors=True)

    @pytest.fixture
    def kata(self, request: pytest.FixtureRequest, scene: Stage) -> Iterator[ModuleType]:
        kata = request.node.stash[KATA]
        request.node.stash[ANSWER] = None
        try:
            if not self.control:
                with loaded(kata, self.trees[False]) as module:
                    yield module
                return
            if self.stub is None:
                with loaded(kata, self.trees[True]) as module:
                    self.stub = module
            try:
                with (
                    loaded(kata, self.trees[False])
                    if self.decoy
                    else contextlib.nullcontext() as module
                ):
                    request.node.stash[ANSWER] = module
                    yield self.stub
            except DoesNotLoad:
                yield self.stub
        except DoesNotLoad as failure:
            raise failure.with_traceback(None) from None

    @pytest_asyncio.fixture
    async def client(
        self, request: pytest.FixtureRequest, kata: ModuleType, scene: Stage
    ) -> AsyncIterator[Client]:
        if not self.control:
            async with client_of(kata.app, scene) as client:
                yield client
            return
        answer = request.node.stash[ANSWER]
        decoy = Decoy(answer.app if answer else None, kata.app)
        async with client_of(decoy, scene) as client:
            yield client
            await decoy.end()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.reports.append(report)

    def run(self, item: pytest.Item, following: pytest.Item | None) -> dict[str, Any]:
        """Run one spec once; what came of it, as plain data."""
        self.reports = []
        stopped = ""
        began = time.monotonic()
        try:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        except BaseException as error:
            stopped = f"the answer stopped the whole run: {type(error).__name__}"
            with contextlib.suppress(BaseException):
                item.session._setupstate.teardown_exact(None)
        return _outcome(item, self.reports, stopped, time.monotonic() - began)


ANSWER = pytest.StashKey[ModuleType | None]()


def _outcome(
    item: pytest.Item, reports: list[pytest.TestReport], stopped: str, seconds: float
) -> dict[str, Any]:
    passed = {report.when for report in reports if report.passed}
    bad = next((report for report in reports if not report.passed), None)
    found: dict[str, Any] | None = None
    if bad is not None:
        found = getattr(bad, "finding", None)
    if found is None and (stopped or bad is not None or len(passed) < 3):
        why = stopped or "it did not end as a spec should"
        if bad is not None and bad.skipped:
            why = "the answer skipped it, and a spec that is skipped has not passed"
        found = Finding("", title_of(item.name), message=why).write()
    return {
        "spec": item.nodeid,
        "passed": found is None,
        "finding": found,
        "seconds": round(seconds, 4),
    }


def run_in_cell(
    job: Job, items: list[pytest.Item], runner: Runner, machinery: guard.Machinery, room: Path,
    watch: Callable[[], tuple[list[str], list[str]]], say: Callable[[dict[str, Any]], None],
) -> None:  # fmt: skip
    """Run the specs of a kata on an answer and on controls, and say what came of each."""
    numbers = iter(range(1, 1_000_000))
    runner.trees = {False: room / "a", True: room / "b"}
    runner.rooms = lambda: room / f"r{next(numbers)}"
    source = job.source.encode("utf-8", "surrogateescape")
    say({"evidence": guard.suspicious(source), "places": routes(source)})
    came_to_its_end: list[bool] = []
    for item in items:
        if isinstance(item, pytest.Function):
            guard.witnessed(item, lambda: came_to_its_end.append(True))
    dice = random.SystemRandom()
    first = dice.randrange(DECOYS)
    noted, tampered = watch()
    told = 0
    for place, item in enumerate(items):
        following = items[place - 1] if len(items) > 1 else None
        turns = [False, True] if job.controls else [False]
        dice.shuffle(turns)
        failed = False
        for control in turns:
            came_to_its_end.clear()
            if control and failed:
                continue
            runner.control, runner.decoy = control, (place + first) % DECOYS == 0
            outcome = runner.run(item, following)
            failed = failed or not (control or outcome["passed"])
            changes = [*tampered, *machinery.changes(item)]
            if outcome["passed"] and not came_to_its_end:
                changes.append("a spec was reported as passed that had not come to its end")
            say({"outcome": outcome | {"control": control}})
            if told < len(noted):
                say({"evidence": noted[told:]})
                told = len(noted)
            if changes and job.controls:
                say({"tampered": changes})
                return
    say({"end": True})

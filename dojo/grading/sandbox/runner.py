"""The runner: in the process of an answer, each spec twice, without knowing which run counts.

One of the two is a control: when its spec has come to its end, the keeper outside says that it must
fail. Until then both are the same, so that whatever an answer does to be called right without being
right, it does to its control too; and a control that passes gives it away.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dojo.grading.routes import routes
from dojo.grading.sandbox import tampering
from dojo.grading.sandbox.channel import Ask, Channel, Tell
from dojo.grading.sandbox.protocol import Job
from dojo.harness.environment import Environment
from dojo.harness.holds import clock
from dojo.plugin.failures import Failure, title_of
from dojo.plugin.fixtures import ENVIRONMENT, SOLUTIONS
from dojo.solutions import Solutions


class MustFailError(AssertionError):
    """What the spec of a control ends with."""


class Runner:
    """The pytest plugin in a cell: it gives each spec a folder, and keeps what is reported."""

    def __init__(self) -> None:
        self.room = Path()
        self.reports: list[pytest.TestReport] = []

    @pytest.fixture
    def tmp_path(self) -> Iterator[Path]:
        room = Path(tempfile.mkdtemp(prefix="r", dir=self.room))
        yield room
        shutil.rmtree(room, ignore_errors=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.reports.append(report)


def run_once(
    item: pytest.Item, following: pytest.Item | None, reports: list[pytest.TestReport]
) -> dict[str, Any]:
    """Run one spec once; what came of it, as plain data."""
    reports.clear()
    stopped = ""
    began = clock()
    try:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
    except BaseException as error:
        stopped = f"the answer stopped the whole run: {type(error).__name__}"
        with contextlib.suppress(BaseException):
            item.session._setupstate.teardown_exact(None)
    item._report_sections.clear()
    return _outcome(item, reports, stopped, max(0.0, clock() - began))


def _outcome(
    item: pytest.Item, reports: list[pytest.TestReport], stopped: str, seconds: float
) -> dict[str, Any]:
    passed = {report.when for report in reports if report.passed}
    bad = next((report for report in reports if not report.passed), None)
    found: dict[str, Any] | None = None
    if bad is not None:
        found = getattr(bad, "failure", None)
    if found is None and (stopped or bad is not None or len(passed) < 3):
        why = stopped or "it did not end as a spec should"
        if bad is not None and bad.skipped:
            why = "the answer skipped it, and a spec that is skipped has not passed"
        found = Failure("", title_of(item.name), message=why).write()
    return {
        "spec": item.nodeid,
        "passed": found is None,
        "failure": found,
        "seconds": round(seconds, 4),
    }


def to_its_end(spec: Any, number: int, ask: Ask, check: Callable[[], list[str]], tell: Tell) -> Any:
    """The spec, which asks at its very end whether it may pass.

    What it needs is in its defaults and not in cells, which anybody could fill with something else.
    """

    def end(
        _number: int = number, _ask: Ask = ask, _check: Any = check, _tell: Tell = tell
    ) -> None:
        changes = _check()
        if changes:
            _tell({"tampered": changes})
        if not _ask(_number):
            raise MustFailError("a control must fail")

    if inspect.iscoroutinefunction(spec):

        @functools.wraps(spec)
        async def whole(
            _spec: Any = spec, _tell: Tell = tell, _end: Callable[[], None] = end, **given: Any
        ) -> None:
            _tell({"began": True})
            await _spec(**given)
            _end()

        return whole

    @functools.wraps(spec)
    def whole_at_once(
        _spec: Any = spec, _tell: Tell = tell, _end: Callable[[], None] = end, **given: Any
    ) -> None:
        _tell({"began": True})
        _spec(**given)
        _end()

    return whole_at_once


def _cases(item: pytest.Item) -> tuple[object, ...]:
    """The values that a spec is run with, where it has several."""
    callspec = getattr(item, "callspec", None)
    return tuple(callspec.params.values()) if callspec is not None else ()


def _nothing(_item: pytest.Item) -> list[str]:
    return []


def run_in_sandbox(
    job: Job,
    items: list[pytest.Item],
    runner: Runner,
    machinery: tampering.Machinery,
    room: Path,
    watch: Callable[[Channel, Tell], list[str]],
    talk: tuple[Channel, Tell, Ask],
) -> None:
    """Run the specs of a kata, each as often as it takes, and say what came of it."""
    channel, tell, ask = talk
    source = job.source.encode("utf-8", "surrogateescape")
    tell({"evidence": tampering.suspicious(source)})
    runner.room = room
    items[0].config.stash[SOLUTIONS] = Solutions(room / "a")
    specs = [item.obj for item in items if isinstance(item, pytest.Function)]
    # Without controls it is no verdict, and what a check takes is a fifth of a run.
    check, check_all = (
        machinery.checks(items[0].session, [runner]) if job.controls else (_nothing, list)
    )
    times = 2 if job.controls else 1
    runs = [(s, _cases(i)) for i, s in zip(items, specs, strict=True) for _ in range(times)]
    tell({"home": (runs, machinery.ours)})
    tell({"places": routes(source)})
    outcome_of = run_once
    reports = runner.reports
    tampered = watch(channel, tell)
    number = 0
    for place, (item, spec) in enumerate(zip(items, specs, strict=True)):
        following = items[place - 1] if len(items) > 1 else None
        for _ in range(times):

            def changes(_item: Any = item, _check: Any = check, _tampered: Any = tampered) -> Any:
                environment = _item.stash.get(ENVIRONMENT, None)
                staged = (
                    environment.changes()
                    if type(environment) is Environment
                    else ["the stage was taken away"]
                )
                return [*_tampered, *_check(_item), *staged]

            whole = to_its_end(spec, number, ask, changes, tell)
            defaults = whole.__defaults__
            item.obj = whole  # type: ignore[attr-defined]
            outcome = outcome_of(item, following, reports)
            changed = [*tampered, *check(item)]
            if item.obj is not whole or whole.__defaults__ is not defaults:  # type: ignore[attr-defined]
                changed.append("a spec was replaced")
            if changed and job.controls:
                tell({"tampered": changed})
            tell({"outcome": outcome})
            if changed and job.controls:
                return
            number += 1
    changed = check_all()
    if changed and job.controls:
        tell({"tampered": changed})
    tell({"end": True})

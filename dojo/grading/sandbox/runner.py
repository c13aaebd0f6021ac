"""The runner: in the process of a solution, it runs each spec twice.

One of the two runs is a control: when its spec has come to its end, the supervisor outside replies
that it must fail. Until then both runs are the same, so a solution that forges a pass forges the
pass of the control too. A control that passes proves the forgery.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dojo.grading.routes import routes
from dojo.grading.sandbox import tampering
from dojo.grading.sandbox.protocol import Ask, Channel, Job, Send
from dojo.grading.sandbox.weights import changed_lines, weighed
from dojo.harness.environment import Environment
from dojo.harness.holds import clock
from dojo.plugin.failures import Failure, title_of
from dojo.plugin.fixtures import ENVIRONMENT, SOLUTIONS
from dojo.solutions import Solutions


class MustFailError(AssertionError):
    """The error that ends the spec of a control."""


class Runner:
    """The pytest plugin in a sandbox: it gives each spec a folder, and keeps the reports."""

    def __init__(self) -> None:
        self.folder = Path()
        self.reports: list[pytest.TestReport] = []
        self.send: Send | None = None

    @pytest.fixture
    def tmp_path(self) -> Iterator[Path]:
        """Give each run of a spec an empty folder."""
        folder = Path(tempfile.mkdtemp(prefix="r", dir=self.folder))
        yield folder
        shutil.rmtree(folder, ignore_errors=True)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Say when the solution begins and ends to be loaded: that has a limit of its own."""
        if fixturedef.argname != "kata" or self.send is None:
            return (yield)
        self.send({"loading": True})
        try:
            return (yield)
        finally:
            self.send({"loading": False})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the report."""
        self.reports.append(report)


def run_once(
    item: pytest.Item, following: pytest.Item | None, reports: list[pytest.TestReport]
) -> dict[str, Any]:
    """Run one spec once; its outcome as plain data."""
    reports.clear()
    stopped = ""
    began = clock()
    try:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
    except BaseException as error:  # noqa: BLE001 - a solution may raise anything
        stopped = f"the solution stopped the whole run: {type(error).__name__}"
        with contextlib.suppress(BaseException):
            vars(item.session)["_setupstate"].teardown_exact(None)
    vars(item)["_report_sections"].clear()
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
            why = "the solution skipped it, and a skipped spec has not passed"
        found = Failure("", title_of(item.name), message=why).write()
    return {
        "spec": item.nodeid,
        "passed": found is None,
        "failure": found,
        "seconds": round(seconds, 4),
    }


def wrap_spec(spec: Any, number: int, ask: Ask, check: Callable[[], None], send: Send) -> Any:
    """Wrap a spec, so that it asks at its end whether it may pass.

    The wrapper keeps its state in default arguments. A closure's variables can be replaced by the
    solution, which runs in the same process; replaced defaults are noticed.
    """

    def end(
        _number: int = number, _ask: Ask = ask, _check: Any = check, _send: Send = send
    ) -> None:
        _check()
        if not _ask(_number):
            raise MustFailError("a control must fail")

    if inspect.iscoroutinefunction(spec):

        @functools.wraps(spec)
        async def whole(
            _spec: Any = spec, _send: Send = send, _end: Callable[[], None] = end, **given: Any
        ) -> None:
            _send({"began": True})
            await _spec(**given)
            _end()

        return whole

    @functools.wraps(spec)
    def whole_at_once(
        _spec: Any = spec, _send: Send = send, _end: Callable[[], None] = end, **given: Any
    ) -> None:
        _send({"began": True})
        _spec(**given)
        _end()

    return whole_at_once


def _cases(item: pytest.Item) -> tuple[object, ...]:
    """The parametrized values of a spec."""
    callspec = getattr(item, "callspec", None)
    return tuple(callspec.params.values()) if callspec is not None else ()


def _nothing(_item: pytest.Item) -> list[str]:
    return []


def run_in_sandbox(
    job: Job,
    items: list[pytest.Item],
    runner: Runner,
    snapshot: tampering.Snapshot,
    folder: Path,
    watch: Callable[[Channel, Send], list[str]],
    talk: tuple[Channel, Send, Ask],
) -> None:
    """Run the specs of a kata, each with its control, and send the outcomes."""
    channel, send, ask = talk
    source = job.source.encode("utf-8", "surrogateescape")
    send({"heavy": tampering.reads_the_name_of_the_spec(source)})
    send({"evidence": tampering.suspicious(source)})
    runner.folder = folder
    runner.send = send
    items[0].config.stash[SOLUTIONS] = Solutions(folder / "a")
    specs = [item.obj for item in items if isinstance(item, pytest.Function)]
    # Without controls there is no verdict, and the checks would take a fifth of the time.
    check, check_all = (
        snapshot.checks(items[0].session, [runner]) if job.controls else (_nothing, list)
    )
    times = 2 if job.controls else 1
    runs = [(s, _cases(i)) for i, s in zip(items, specs, strict=True) for _ in range(times)]
    send({"home": (runs, snapshot.trusted)})
    send({"routes": routes(source)})
    outcome_of = run_once
    reports = runner.reports
    recoded = watch(channel, send)
    send({"ready": True})
    lines = changed_lines(source)
    number = 0

    def note(
        changes: list[str], _send: Send = send, _weighed: Any = weighed, _lines: Any = lines
    ) -> None:
        sides = _weighed(changes, _lines)
        if sides[True]:
            _send({"heavy": sides[True]})
        if sides[False]:
            _send({"evidence": sides[False]})

    for position, (item, spec) in enumerate(zip(items, specs, strict=True)):
        following = items[position - 1] if len(items) > 1 else None
        for _ in range(times):

            def changes(
                _item: Any = item, _check: Any = check, _recoded: Any = recoded, _note: Any = note
            ) -> None:
                environment = _item.stash.get(ENVIRONMENT, None)
                changed = (
                    environment.changes()
                    if type(environment) is Environment
                    else ["the environment of the spec was removed"]
                )
                _note([*_recoded, *_check(_item), *changed])

            whole = wrap_spec(spec, number, ask, changes, send)
            defaults = whole.__defaults__
            item.obj = whole  # type: ignore[attr-defined]
            outcome = outcome_of(item, following, reports)
            changed = [*recoded, *check(item)]
            if item.obj is not whole or whole.__defaults__ is not defaults:  # type: ignore[attr-defined]
                changed.append("a spec was replaced")
            if job.controls:
                note(changed)
            send({"outcome": outcome})
            number += 1
    note(check_all())
    send({"end": True})

"""The warm process: a pytest that has imported and collected everything, and waits for work.

`dojo watch` starts it as `python -m dojo.watch.warm`, and talks to it in lines of JSON, on its
standard streams. A job is `{"run": 7, "katas": [NAME, …]}`. A newer job ends an older one. What
comes back:

- `{"ready": {KATA: [SPEC, …]}, "problems": {KATA: TEXT}}`, once: what was collected;
- `{"run": 7, "kata": KATA, "spec": SPEC, "passed": …, "failure": …, "seconds": …}` for each spec;
- `{"run": 7, "kata": KATA, "ended": true}` when all specs of a kata have reported.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from dojo.catalogue import Kata
from dojo.harness import frames
from dojo.harness.time_limit import is_late
from dojo.plugin.fixtures import ENVIRONMENT, KATA, SOLUTIONS
from dojo.plugin.outcome import failure_in, forget_what_was_printed
from dojo.solutions import Solutions

PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout")
Send = Callable[[dict[str, Any]], None]


class Warm:
    """The pytest plugin that collects all specs, and calls `work` in place of running them."""

    def __init__(self, scratch: Path, shown_from: Path, work: Callable[[Warm], None]) -> None:
        self.scratch = scratch
        self.shown_from = shown_from
        self.work = work
        self.items: dict[str, dict[str, pytest.Item]] = {}
        self.problems: dict[str, str] = {}
        self._last: dict[str, float] = {}
        self._reports: list[pytest.TestReport] = []
        self._late = False

    @pytest.fixture
    def tmp_path(self) -> Iterator[Path]:
        """Give each spec an empty folder."""
        folder = Path(tempfile.mkdtemp(prefix="s", dir=self.scratch))
        yield folder
        shutil.rmtree(folder, ignore_errors=True)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why a file could not be collected."""
        if report.failed:
            name = Path(report.nodeid).name.removeprefix("test_").removesuffix(".py")
            last = str(report.longrepr).strip().splitlines() or ["it cannot be collected"]
            self.problems[name] = f"{report.nodeid}: {last[-1].removeprefix('E ').strip()}"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note whether a spec did not finish."""
        self._late |= call.excinfo is not None and is_late(call.excinfo.value)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the report."""
        self._reports.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Hand over to `work`, with the collected specs."""
        # Each spec runs alone, and reports go to `work`: nobody reads a summary or a dot for each
        # spec, and who hands specs out counts those that did not finish.
        for name in ("dojo-summary", "dojo-patience", "terminalreporter"):
            session.config.pluginmanager.unregister(name=name)
        for item in session.items:
            if KATA in item.stash:
                self.items.setdefault(item.stash[KATA].name, {})[item.nodeid] = item
        frames.show_from(self.shown_from)
        gc.collect()
        gc.freeze()
        self.work(self)
        return True

    def collected(self) -> dict[str, Any]:
        """What was collected, and what could not be."""
        ready = {name: list(items) for name, items in self.items.items()}
        return {"ready": ready, "problems": self.problems}

    def note(self, outcome: dict[str, Any]) -> None:
        """Keep how a spec went, for the order of the next run."""
        at_once = not outcome["passed"] and not outcome["late"]
        self._last[outcome["spec"]] = float("-inf") if at_once else -outcome["seconds"]

    def order(self, kata: str) -> list[str]:
        """The specs of a kata: first those that were red, in their order, for whoever mends one.

        Then the longest first, so that no process begins with one when the others are done.
        """
        return sorted(self.items.get(kata, {}), key=lambda spec: self._last.get(spec, 0.0))

    def run(self, kata: str, spec: str) -> dict[str, Any]:
        """Run a spec in the calling process; its outcome as plain data."""
        item = self.items[kata][spec]
        self._reports.clear()
        self._late = False
        if ENVIRONMENT in item.stash:
            del item.stash[ENVIRONMENT]
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        forget_what_was_printed(item)
        found = failure_in(self._reports, item.name, kata=kata, node=spec)
        return {
            "kata": kata,
            "spec": spec,
            "passed": found is None,
            "failure": found,
            "late": self._late,
            "seconds": round(sum(report.duration for report in self._reports), 4),
        }

    def rehearse(self, kata: str) -> None:
        """Run a spec with the reference: what is done for the first time takes long.

        Nothing is done where there is no reference, as in the repository of a class.
        """
        items = self.items.get(kata, {})
        item = next(iter(items.values()), None)
        if item is None:
            return
        of: Kata = item.stash[KATA]
        stash = item.config.stash
        own = stash[SOLUTIONS]
        if not of.reference.is_file():
            return
        stash[SOLUTIONS] = Solutions(own.tree, of, of.reference)
        try:
            self.run(kata, item.nodeid)
        finally:
            stash[SOLUTIONS] = own


def run_pytest(root: Path, warm: Warm) -> int:
    """Collect the specs, and hand over to `warm`; the exit code of pytest."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    os.chdir(root)
    return int(
        pytest.main(
            [
                "tests",
                f"--rootdir={root}",
                f"--config-file={root / 'pyproject.toml'}",
                *(option for plugin in PLUGINS for option in ("-p", plugin)),
                *("-q", "-p", "no:cacheprovider", "--capture=sys", "-W", "ignore"),
                "--continue-on-collection-errors",
            ],
            plugins=[warm],
        )
    )


def own_streams() -> tuple[BinaryIO, BinaryIO]:
    """The streams for jobs and for outcomes, out of the reach of what solutions read and write."""
    jobs, outcomes = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return jobs, outcomes


def sender(outcomes: BinaryIO) -> Send:
    """A function that writes messages."""

    def send(message: dict[str, Any]) -> None:
        left = json.dumps(message).encode() + b"\n"
        while left:
            left = left[outcomes.write(left) or 0 :]

    return send


def remove(scratch: Path) -> None:
    """Remove the folder for specs: who has made it may not be there any more."""
    shutil.rmtree(scratch, ignore_errors=True)
    with contextlib.suppress(OSError):
        scratch.parent.rmdir()


def main() -> int:
    """Serve `dojo watch`; the arguments are the project, a folder for specs, and how to run."""
    root, scratch, shown_from, how = sys.argv[1:5]
    jobs, outcomes = own_streams()
    send = sender(outcomes)
    if how == "fork":
        from dojo.watch import forks as way
    else:
        from dojo.watch import alone as way  # type: ignore[no-redef]

    def work(warm: Warm) -> None:
        send(warm.collected())
        try:
            way.serve(warm, jobs, outcomes, send)
        finally:
            remove(warm.scratch)

    return run_pytest(Path(root), Warm(Path(scratch), Path(shown_from), work))


if __name__ == "__main__":
    sys.exit(main())

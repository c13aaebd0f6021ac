"""The summary: how the specs of all katas went, and the light of each kata."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import pytest

from dojo.catalogue import Kata
from dojo.plugin.failures import Failure
from dojo.plugin.listeners import run_ended
from dojo.plugin.score import Score
from dojo.plugin.terminal import SummaryWriter
from dojo.solutions import Solutions

# So many spec files have their names shown while they run.
FILES = 12


class Summary:
    """A plugin that collects the reports of specs, and shows them in its own way."""

    def __init__(self, katas: dict[str, Kata], solutions: Solutions, config: pytest.Config) -> None:
        self.scores = {name: Score(kata) for name, kata in katas.items()}
        self.solutions = solutions
        self.config = config

    def expect(self, nodes: Iterable[str]) -> None:
        """Note the ids of specs that are to run."""
        for node in nodes:
            score = self._score(node)
            if score is not None:
                score.expected[node] = None

    def _score(self, node: str) -> Score | None:
        file = Path(node.partition("::")[0])
        score = self.scores.get(file.name.removeprefix("test_").removesuffix(".py"))
        return score if score and file.parent.name == "tests" else None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Leave out the names of files while the specs run, where there are many.

        Else the beginning has left the screen before the summary comes.
        """
        reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        files = {item.path for item in session.items}
        if reporter is not None and len(files) > FILES and reporter.verbosity == 0:
            reporter.showfspath = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a phase of a spec went."""
        score = self._score(report.nodeid)
        if score is None:
            return
        score.seconds += report.duration
        if report.failed:
            data = getattr(report, "failure", None)
            score.passed.discard(report.nodeid)
            score.red.setdefault(report.nodeid, Failure.read(data) if data else None)
        elif report.skipped:
            score.red.setdefault(report.nodeid, None)
        elif report.when == "call" and report.nodeid not in score.red:
            score.passed.add(report.nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, None, None]:
        """Show red specs in the dojo's way, unless `--tb` asks for pytest's own."""
        if not any(score.ran for score in self.scores.values()):
            return (yield)
        if self.config.getoption("tbstyle") != "auto":
            yield
            SummaryWriter(self).show_lights()
            return None
        stats = terminalreporter.stats
        taken = {}
        for outcome in ("failed", "error"):
            taken[outcome] = stats.get(outcome, [])
            stats[outcome] = [r for r in taken[outcome] if not hasattr(r, "failure")]
        lines_asked_for = _lines_are_asked_for(self.config)
        if lines_asked_for:
            listed, terminalreporter.reportchars = terminalreporter.reportchars, ""
        try:
            yield
        finally:
            for outcome, reports in taken.items():
                stats[outcome] = reports
                if not reports:
                    del stats[outcome]
        writer = SummaryWriter(self)
        writer.show_details()
        if lines_asked_for:
            terminalreporter.reportchars = listed
            terminalreporter.short_test_summary()
        writer.show_lights()
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Tell how the learner's own solutions did; a worker of xdist tells the one that began."""
        own = [score.run() for score in self.started() if self._is_own(score.kata)]
        if own and not hasattr(self.config, "workerinput"):
            run_ended(self.config.rootpath, own)

    def _is_own(self, kata: Kata) -> bool:
        """Whether the solution under test is the one in the project's `katas/`."""
        return self.solutions.file(kata).resolve() == kata.stub.resolve()

    def started(self) -> list[Score]:
        """The scores of the katas of which a spec ran."""
        return [score for score in self.scores.values() if score.ran]


def _lines_are_asked_for(config: pytest.Config) -> bool:
    """Whether pytest's line of each red spec was asked for, as with `-rf`."""
    named = any(str(arg).startswith("-r") for arg in config.invocation_params.args)
    return named or config.getoption("reportchars") != _DEFAULT_REPORT


_DEFAULT_REPORT = "fE"  # pytest's own default of `-r`

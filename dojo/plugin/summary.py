"""The summary: how the specs of all katas went, and the light of each kata."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from dojo.catalogue import Kata
from dojo.lights import light_of
from dojo.plugin.failures import Failure, title_of
from dojo.plugin.listeners import run_ended
from dojo.plugin.terminal import SummaryWriter
from dojo.progress import Run
from dojo.solutions import Solutions

# So many spec files have their names shown while they run.
FILES = 12


class Score:
    """How the specs of one kata went."""

    def __init__(self, kata: Kata) -> None:
        self.kata = kata
        self.expected: dict[str, None] = {}
        self.passed: set[str] = set()
        self.red: dict[str, Failure | None] = {}
        self.seconds = 0.0

    @property
    def ran(self) -> bool:
        """Whether one of its specs ran."""
        return bool(self.passed or self.red)

    @property
    def marks(self) -> dict[str, bool | None]:
        """Whether each test function passed, in the order of the file; None where it did not run.

        One that is run with several values passes with all of them.
        """
        nodes: dict[str, list[str]] = {name: [] for name in self.kata.spec_names}
        for node in self.specs:
            nodes.setdefault(_name_of(node), []).append(node)
        return {name: self._passed(ran) for name, ran in nodes.items()}

    def _passed(self, nodes: list[str]) -> bool | None:
        if any(node in self.red for node in nodes):
            return False
        return True if nodes and self.passed.issuperset(nodes) else None

    @property
    def specs(self) -> list[str]:
        """The node ids, in the order of the spec file."""
        names = list(self.kata.spec_names)

        def place(node: str) -> int:
            name = _name_of(node)
            return names.index(name) if name in names else len(names)

        return sorted({**self.expected, **dict.fromkeys([*self.red, *self.passed])}, key=place)

    @property
    def failures(self) -> list[Failure]:
        """The red specs, in the order of the spec file."""
        return [
            self.red[node] or _unexplained(self.kata, node)
            for node in self.specs
            if node in self.red
        ]

    @property
    def light(self) -> str:
        """Green, red, amber or grey; `part` where all that ran passed, and not all ran."""
        passed = ["green"] if self.passed else []
        light = light_of([*passed, *(found.light for found in self.failures)])
        return "part" if light == "green" and not all(self.marks.values()) else light

    def run(self) -> Run:
        """What is noted of this run."""
        marks, failures = list(self.marks.values()), self.failures
        light = light_of([*(["green"] * bool(self.passed)), *(found.light for found in failures)])
        return Run(
            at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            kata=self.kata.name,
            light=light,
            passed=marks.count(True),
            failed=marks.count(False),
            total=len(marks),
            seconds=round(self.seconds, 3),
            first_red=failures[0].title if failures else "",
        )


def _name_of(node: str) -> str:
    return node.partition("[")[0].rpartition("::")[2]


def _unexplained(kata: Kata, node: str) -> Failure:
    title = title_of(node.rpartition("::")[2])
    return Failure(kata.name, title, message="it did not end as a spec should", node=node)


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

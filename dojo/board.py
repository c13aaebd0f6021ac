"""The board: the lights of all katas after a run, the details of one, and what to do next."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from pathlib import Path
from textwrap import shorten, wrap
from typing import Any

import pytest

from dojo.catalogue import Kata
from dojo.finding import Finding, title_of
from dojo.solutions import Solutions

COLOURS: dict[str, dict[str, bool]] = {
    "green": {"green": True, "bold": True},
    "red": {"red": True, "bold": True},
    "amber": {"yellow": True, "bold": True},
    "grey": {"light": True},
    "part": {"light": True},
}


class Score:
    """How the specs of one kata went."""

    def __init__(self, kata: Kata) -> None:
        self.kata = kata
        self.expected: dict[str, None] = {}
        self.passed: set[str] = set()
        self.red: dict[str, Finding | None] = {}

    @property
    def ran(self) -> bool:
        return bool(self.passed or self.red)

    @property
    def specs(self) -> list[str]:
        """Node ids in the order of the spec file, whatever order they ran in."""
        names = list(self.kata.spec_names)

        def place(node: str) -> int:
            name = _name_of(node)
            return names.index(name) if name in names else len(names)

        return sorted({**self.expected, **dict.fromkeys([*self.red, *self.passed])}, key=place)

    @property
    def findings(self) -> list[Finding]:
        return [
            self.red[node] or _unexplained(self.kata, node)
            for node in self.specs
            if node in self.red
        ]

    @property
    def light(self) -> str:
        """Green, red, amber or grey; `part` where all that ran passed, and not all ran."""
        lights = {found.light for found in self.findings}
        if "amber" in lights:
            return "amber"
        if lights == {"grey"} and not self.passed:
            return "grey"
        if self.red:
            return "red"
        names = {_name_of(node) for node in self.passed}
        whole = self.passed.issuperset(self.specs) and names.issuperset(self.kata.spec_names)
        return "green" if whole else "part"


def _name_of(node: str) -> str:
    return node.partition("[")[0].rpartition("::")[2]


def _unexplained(kata: Kata, node: str) -> Finding:
    title = title_of(node.rpartition("::")[2])
    return Finding(kata.name, title, message="it did not end as a spec should: run it alone")


class Board:
    """A plugin that collects the reports of specs, and shows them in its own way."""

    def __init__(self, katas: dict[str, Kata], solutions: Solutions, config: pytest.Config) -> None:
        self.scores = {name: Score(kata) for name, kata in katas.items()}
        self.solutions = solutions
        self.config = config

    def expect(self, nodes: Iterable[str]) -> None:
        for node in nodes:
            score = self._score(node)
            if score is not None:
                score.expected[node] = None

    def _score(self, node: str) -> Score | None:
        file = Path(node.partition("::")[0])
        score = self.scores.get(file.name.removeprefix("test_").removesuffix(".py"))
        return score if score and file.parent.name == "tests" else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        score = self._score(report.nodeid)
        if score is None:
            return
        if report.failed:
            data = getattr(report, "finding", None)
            score.passed.discard(report.nodeid)
            score.red.setdefault(report.nodeid, Finding.read(data) if data else None)
        elif report.skipped:
            score.red.setdefault(report.nodeid, None)
        elif report.when == "call" and report.nodeid not in score.red:
            score.passed.add(report.nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, None, None]:
        """Show red specs in the dojo's way, unless pytest's own was asked for with `--tb`."""
        if not any(score.ran for score in self.scores.values()):
            return (yield)
        if self.config.getoption("tbstyle") != "auto":
            yield
            Screen(self, terminalreporter).show_board()
            return None
        stats = terminalreporter.stats
        taken = {}
        for outcome in ("failed", "error"):
            taken[outcome] = stats.get(outcome, [])
            stats[outcome] = [r for r in taken[outcome] if not hasattr(r, "finding")]
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
        screen = Screen(self, terminalreporter)
        screen.show_details()
        if lines_asked_for:
            terminalreporter.reportchars = listed
            terminalreporter.short_test_summary()
        screen.show_board()
        return None

    def started(self) -> list[Score]:
        return [score for score in self.scores.values() if score.ran]


class Screen:
    """What is written to the terminal."""

    def __init__(self, board: Board, reporter: Any) -> None:
        self.board = board
        self.scores = board.started()
        self.tw = reporter._tw
        self.config = board.config
        encoding = getattr(getattr(self.tw, "_file", None), "encoding", None) or "utf-8"
        try:
            "✓✗·●…".encode(encoding)
        except (UnicodeEncodeError, LookupError):
            self.yes, self.no, self.idle, self.dot = ".", "x", "-", "*"
        else:
            self.yes, self.no, self.idle, self.dot = "✓", "✗", "·", "●"

    def show_details(self) -> None:
        asked = self.config.getoption("verbose") > 0 or _files_named(self.config)
        begun = [score for score in self.scores if score.light in ("red", "amber")]
        chosen = [s for s in self.scores if s.red] if asked else begun[:1]
        for score in chosen:
            self.tw.line()
            self.tw.sep("-", f"{score.kata.number} {score.kata.title}")
            self._show_findings(score.findings)

    def _show_findings(self, findings: list[Finding]) -> None:
        same: dict[tuple[str, ...], list[Finding]] = {}
        for found in findings:
            key = (found.message,) if found.light != "red" else (found.message, found.where)
            same.setdefault(key, []).append(found)
        for group in same.values():
            self.tw.line()
            for found in group:
                self.tw.line(f"{self.no} {_sentence(found.title)}", red=True, bold=True)
            self._show_finding(group[0], several=len(group) > 1)

    def _show_finding(self, found: Finding, *, several: bool) -> None:
        if found.why and not several:
            self.tw.line(f"  {found.why}", light=True)
        self.tw.line()
        self._wrapped(found.message, bold=True)
        for line in found.details:
            self._wrapped(line)
        if found.frames:
            self.tw.line("  your code", light=True)
            for line in found.frames:
                self.tw.line(f"    {line}", yellow=True)
        if found.timeline and found.light == "red":
            self.tw.line("  timeline", light=True)
            for line in found.timeline:
                self.tw.line(f"  {line}", red=line.startswith(">"))
        if found.printed:
            self.tw.line("  printed", light=True)
            for line in found.printed.splitlines():
                self.tw.line(f"    {line}")
        if found.where:
            self.tw.line(f"  {found.where}", light=True)

    def _wrapped(self, text: str, **markup: bool) -> None:
        hanging = " " * 11 if text.startswith(("happened ", "expected ", "likely ")) else "  "
        lines = wrap(
            text,
            self.tw.fullwidth - 1,
            initial_indent="  ",
            subsequent_indent=hanging,
            break_on_hyphens=False,
        )
        for line in lines:
            self.tw.line(line, **markup)

    def show_board(self) -> None:
        self.tw.line()
        self.tw.sep("=", "the board")
        marks = [self._marks(score) for score in self.scores]
        room = max(20, self.tw.fullwidth - max(map(len, marks)) - len("* amber k01      99/99 "))
        titles = [shorten(s.kata.title, room, placeholder=" ...") for s in self.scores]
        width = max(map(len, titles))
        for score, title, mark in zip(self.scores, titles, marks, strict=True):
            self.tw.write(f"{self.dot} {score.light:<6}", **COLOURS[score.light])
            self.tw.write(f"{score.kata.number}  {title:<{width}}  ")
            self.tw.line(f"{mark}  {len(score.passed)}/{len(score.specs)}")
        self.tw.line()
        self._show_next()

    def _marks(self, score: Score) -> str:
        """A mark for each spec; one that is run with several values has one for all of them."""
        specs: dict[str, list[str]] = {}
        for node in score.specs:
            specs.setdefault(node.partition("[")[0], []).append(node)
        return "".join(
            self.no
            if any(node in score.red for node in nodes)
            else self.yes
            if all(node in score.passed for node in nodes)
            else self.idle
            for nodes in specs.values()
        )

    def _show_next(self) -> None:
        left = [score for score in self.scores if score.light not in ("green", "part")]
        if not left:
            done = (
                "All green."
                if all(s.light == "green" for s in self.scores)
                else "All that ran is green."
            )
            self.tw.line(done, green=True, bold=True)
            return
        score, found = left[0], left[0].findings[0]
        if all(score.light == "grey" for score in self.scores):
            self.tw.line(
                "Welcome! Nothing is filled in yet, so everything is red. That is how it begins."
            )
        file = self.board.solutions.file(score.kata)
        self.tw.line(
            f"Next: {score.kata.number}, {score.kata.title} ({score.kata.minutes} minutes)"
        )
        self.tw.line(f"  read     {_shown(score.kata.card)}")
        self.tw.line(f"  {'fill in' if score.light == 'grey' else 'mend':<7}  {_shown(file)}")
        self.tw.line(f"  until    {_sentence(found.title)}")
        pytest = os.environ.get("DOJO_PYTEST", "pytest")  # `run.py` was typed, and is to be typed
        self.tw.line(f"  run      {pytest} {_shown(score.kata.spec_file)}")


def _sentence(title: str) -> str:
    return title[:1].upper() + title[1:] + "."


def _shown(path: Path) -> str:
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive, on Windows
        return str(path)


def _lines_are_asked_for(config: pytest.Config) -> bool:
    """Whether somebody wants pytest's line of each red spec: `-rf`."""
    named = any(str(arg).startswith("-r") for arg in config.invocation_params.args)
    return named or config.getoption("reportchars") != _DEFAULT_REPORT


_DEFAULT_REPORT = "fE"  # what pytest lists where nothing is said


def _files_named(config: pytest.Config) -> bool:
    named = [Path(str(arg).partition("::")[0]) for arg in config.invocation_params.args]
    return any(path.name.startswith("test_k") for path in named)

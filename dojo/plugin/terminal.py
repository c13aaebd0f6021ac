"""The end of a run on the terminal: details of red specs, the summary, and the next step."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import pytest

from dojo.harness.frames import shown as _shown
from dojo.plugin import render
from dojo.plugin.causes import alike
from dojo.plugin.failures import Failure
from dojo.session import joined

if TYPE_CHECKING:
    from dojo.plugin.score import Score
    from dojo.plugin.summary import Summary

COLOURS: dict[str, dict[str, bool]] = {
    "green": {"green": True, "bold": True},
    "red": {"red": True, "bold": True},
    "amber": {"yellow": True, "bold": True},
    "grey": {"light": True},
    "part": {"light": True},
}
STYLES: dict[render.Style, dict[str, bool]] = {
    "plain": {},
    "light": {"light": True},
    "strong": {"bold": True},
    "code": {"yellow": True},
    "marked": {"red": True},
}
NAMED = 6
MANY = 3


class SummaryWriter:
    """Writes the end of a run to the terminal."""

    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        self.scores = summary.started()
        self.config = summary.config
        self.tw = self.config.get_terminal_writer()
        self.width = max(20, self.tw.fullwidth - 1)
        self.verbose = self.config.getoption("verbose") > 0
        encoding = sys.stdout.encoding or "utf-8"
        try:
            "✓✗·●…".encode(encoding)
        except (UnicodeEncodeError, LookupError):
            self.yes, self.no, self.idle, self.dot, self.cut = ".", "x", "-", "*", "..."
        else:
            self.yes, self.no, self.idle, self.dot, self.cut = "✓", "✗", "·", "●", "…"

    def _line(self, text: str = "", **markup: bool) -> None:
        self.tw.line(text.replace("…", self.cut), **markup)

    # ----- the details

    def show_details(self) -> None:
        """Write the red specs of the kata that was begun first, or of all that were asked for."""
        asked = self.verbose or _files_named(self.config)
        begun = [score for score in self.scores if score.light in ("red", "amber")]
        chosen = [s for s in self.scores if s.red] if asked else begun[:1]
        for score in chosen:
            self._line()
            self.tw.sep("-", f"{score.kata.number} {score.kata.title}")
            if self._one_at_a_time():
                self._show_first(score.failures)
                continue
            groups = grouped(score.failures)
            self._show_what_is_common(groups, len(score.failures))
            for group in groups:
                self._show_group(group)

    def _one_at_a_time(self) -> bool:
        """Whether a session that was joined has this ritual; `-v` shows all the same."""
        return not self.verbose and joined.rituals(self.config.rootpath).one_spec

    def _show_first(self, red: list[Failure]) -> None:
        """Write the first red spec, and how many are behind it."""
        self._show_group(red[:1])
        if len(red) > 1:
            self._line()
            self._line(f"{len(red) - 1} more red: one spec at a time (-v shows all)", light=True)

    def _show_what_is_common(self, groups: list[list[Failure]], red: int) -> None:
        first = groups[0]
        if first[0].cause and MANY <= len(first) < red:
            self._line()
            self._wrapped(f"{len(first)} of these {red} fail for one reason. Begin with it:", "")

    def _show_group(self, group: list[Failure]) -> None:
        self._line()
        first = group[0]
        one_reason = bool(first.cause) and not self.verbose
        named = group[:1] if one_reason else group if self.verbose else group[:NAMED]
        for found in named:
            self._line(f"{self.no} {found.sentence}", red=True, bold=True)
        if len(named) < len(group):
            left = len(group) - len(named)
            self._line(
                f"  and {left} more spec{'s' * (left > 1)} for the same reason"
                f"{'' if self.verbose else ' (-v names them)'}"
            )
        if first.why and len(group) == 1:
            self._wrapped(first.why, "  ", light=True)
        self._line()
        self._show_failure(first, several=len(group) > 1)

    def _show_failure(self, found: Failure, *, several: bool) -> None:
        for line, style in render.shown(found, self.width, several=several):
            self._line(line, **STYLES[style])
        if found.node and found.light == "red":
            self._line(f"  run alone  {self._command(found)}", light=True)

    def _command(self, found: Failure) -> str:
        """The command that runs one spec, to be copied and pasted."""
        file, _, name = found.node.partition("::")
        return self._pytest(f"{_shown(self.config.rootpath / file)}::{name}")

    def _pytest(self, what: str) -> str:
        """The command that runs `what` against the solutions of this run."""
        solutions = self.config.getoption("--solutions")
        return " ".join(
            [
                # `run.py` was typed, and is to be typed
                os.environ.get("DOJO_PYTEST", "pytest"),
                *([f"--solutions={shlex.quote(str(solutions))}"] if solutions else []),
                shlex.quote(what),
            ]
        )

    def _wrapped(self, text: str, indent: str, **markup: bool) -> None:
        for line in render.Detail(text).wrapped(self.width, indent):
            self._line(line, **markup)

    # ----- the lights

    def show_lights(self) -> None:
        """Write the light of each kata, and the next step."""
        self.tw.line()
        self.tw.sep("=", "katas")
        marks = [self._marks(score) for score in self.scores]
        counts = [_count(score) for score in self.scores]
        taken = max(map(len, marks)) + max(map(len, counts)) + len("* amber k01      ")
        room = max(20, self.width - taken)
        titles = [shorten(s.kata.title, room, placeholder=" ...") for s in self.scores]
        width = max(map(len, titles))
        for score, title, mark, count in zip(self.scores, titles, marks, counts, strict=True):
            self.tw.write(f"{self.dot} {score.light:<6}", **COLOURS[score.light])
            self.tw.write(f"{score.kata.number}  {title:<{width}}  ")
            self.tw.line(f"{mark}  {count}")
        self.tw.line()
        self._show_next()

    def _marks(self, score: Score) -> str:
        signs = {True: self.yes, False: self.no, None: self.idle}
        return "".join(signs[passed] for passed in score.marks.values())

    def _show_next(self) -> None:
        left = [score for score in self.scores if score.light not in ("green", "part")]
        begun = [score for score in left if score.light != "grey"]
        if not left:
            self._show_what_is_done()
            return
        if not begun and len(left) == len(self.summary.scores):
            self.tw.line(
                "Welcome! Nothing is filled in yet, so every spec fails. That is how it begins."
            )
        score = (begun or left)[0]
        until = next((f for f in score.failures if f.light == score.light), score.failures[0])
        self._show_kata(score, "fill in" if score.light == "grey" else "change", until)

    def _show_what_is_done(self) -> None:
        green = [score for score in self.scores if score.light == "green"]
        if len(green) < len(self.scores):
            self.tw.line("All that ran is green.", green=True, bold=True)
            return
        following = self._following()
        if following is None:
            self.tw.line("All green.", green=True, bold=True)
            return
        names = ", ".join(score.kata.number for score in green)
        are = "is" if len(green) == 1 else "are"
        self.tw.line(f"{names} {are} green.", green=True, bold=True)
        self._show_kata(following, "fill in", None)

    def _following(self) -> Score | None:
        """The kata that comes after those that ran.

        None where there is none, or the solutions are not the learner's own.
        """
        if self.config.getoption("--solutions"):
            return None
        scores = list(self.summary.scores.values())
        last = max(scores.index(score) for score in self.scores)
        return next((score for score in scores[last:] if not score.ran), None) or next(
            (score for score in scores if not score.ran), None
        )

    def _show_kata(self, score: Score, do: str, until: Failure | None) -> None:
        kata = score.kata
        self.tw.line(f"Next: {kata.number}, {kata.title} ({kata.minutes} minutes)")
        self.tw.line(f"  read     {_shown(kata.card)}")
        self.tw.line(f"  {do:<7}  {_shown(self.summary.solutions.to_edit(kata))}")
        if until is not None:
            self.tw.line(f"  until    {until.sentence}")
        self.tw.line(f"  run      {self._pytest(_shown(kata.spec_file))}")


def grouped(failures: list[Failure]) -> list[list[Failure]]:
    """Put failures with one reason together.

    A cause that many have comes first, the others follow in the order of the specs.
    """
    groups: dict[tuple[str, ...], list[Failure]] = {}
    for found in failures:
        if found.light != "red":
            key: tuple[str, ...] = (found.light, found.message)
        elif found.cause:
            key = ("cause", found.cause)
        else:
            key = (alike(found.message), found.where)
        groups.setdefault(key, []).append(found)
    ran = [group for group in groups.values() if not group[0].left_out]
    several = [group for group in ran if group[0].cause and len(group) >= MANY]
    first = max(several, key=len, default=None)
    rest = [group for group in groups.values() if group not in ran]
    return [*([first] if first else []), *(g for g in ran if g is not first), *rest]


def _count(score: Score) -> str:
    """How many specs passed, of how many; and how many ran, where not all did."""
    marks = list(score.marks.values())
    ran = sum(passed is not None for passed in marks)
    partly = "" if ran == len(marks) else f"  {ran} of {len(marks)} run"
    return f"{marks.count(True)}/{len(marks)}{partly}"


def _files_named(config: pytest.Config) -> bool:
    named = [Path(str(arg).partition("::")[0]) for arg in config.invocation_params.args]
    return any(path.name.startswith("test_k") for path in named)

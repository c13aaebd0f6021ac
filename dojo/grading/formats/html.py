"""The results as one HTML page that opens from disk."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from statistics import median

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dojo.grading.formats import Context
from dojo.grading.results import KataResult, Results, SpecResult, State, SubmissionResult

TEMPLATE = "report.html.jinja"
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)


@dataclass(frozen=True)
class Failure:
    """The failure that consecutive specs of a kata have in common."""

    kata: str
    titles: tuple[str, ...]
    message: str
    timeline: tuple[str, ...]
    printed: str


@dataclass(frozen=True)
class Part:
    """Consecutive specs of a kata that all pass, or all have the same failure and line."""

    titles: tuple[str, ...]
    failure: Failure | None
    line: int


@dataclass(frozen=True)
class Solution:
    """The solution of one kata in a submission, with its specs in order."""

    kata: KataResult
    parts: list[Part]


@dataclass
class Tally:
    """How many solutions fail a spec, and how many of these are not started."""

    title: str
    failed: int = 0
    not_started: int = 0


@dataclass
class Column:
    """The results of the class for one kata; only solutions whose points count are counted."""

    kata: str
    title: str
    lights: Counter[str] = field(default_factory=Counter)
    specs: dict[str, Tally] = field(default_factory=dict)
    failures: Counter[Failure] = field(default_factory=Counter)

    @property
    def shared(self) -> list[tuple[Failure, int]]:
        """The failures in several solutions, with the counts; the most frequent first."""
        return [(failure, count) for failure, count in self.failures.most_common() if count > 1]

    def add(self, solution: Solution) -> None:
        """Count a solution."""
        kata = solution.kata
        self.failures.update(part.failure for part in solution.parts if part.failure)
        for spec in kata.specs:
            self.specs.setdefault(spec.id, Tally(spec.title))
        if not kata.counts:
            return
        self.lights[kata.light] += 1
        for spec in kata.specs:
            if not spec.passed:
                self.specs[spec.id].failed += 1
                self.specs[spec.id].not_started += kata.light == "grey"


@dataclass(frozen=True)
class Row:
    """One submission."""

    submission: SubmissionResult
    solutions: list[Solution]

    @property
    def places(self) -> dict[str, int]:
        """The index of each kata among the solutions."""
        return {solution.kata.kata: place for place, solution in enumerate(self.solutions)}

    @property
    def evidence(self) -> bool:
        """Whether there is evidence for any kata."""
        return any(solution.kata.evidence for solution in self.solutions)

    @property
    def needs_a_look(self) -> bool:
        """Whether a person should look at it."""
        return self.evidence or self.submission.state is not State.GRADED


@dataclass(frozen=True)
class Scores:
    """The median and the range of scores; in percent where their maximum differs."""

    median: float
    lowest: float
    highest: float
    unit: str


def emit(results: Results, _context: Context) -> str:
    """The page of all submissions; the same results give the same bytes."""
    environment = Environment(
        loader=PackageLoader("dojo.grading.formats", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters |= {
        "digest": _digest,
        "line": _line,
        "number": _number,
        "number_of": _number_of,
        "sentence": _sentence,
    }
    rows = [Row(s, [Solution(kata, _parts(kata)) for kata in s.katas]) for s in results.submissions]
    columns = _columns(rows)
    shared = [failure for column in columns for failure, _ in column.shared]
    return environment.get_template(TEMPLATE).render(
        isolation=results.isolation,
        columns=columns,
        rows=rows,
        shared={failure: number for number, failure in enumerate(shared, 1)},
        states=Counter(submission.state.value for submission in results.submissions),
        scores=_scores(results.submissions),
    )


def _columns(rows: Sequence[Row]) -> list[Column]:
    columns: dict[str, Column] = {}
    for row in rows:
        for solution in row.solutions:
            kata = solution.kata
            columns.setdefault(kata.kata, Column(kata.kata, kata.title)).add(solution)
    return [columns[name] for name in sorted(columns)]


def _scores(submissions: Sequence[SubmissionResult]) -> Scores | None:
    states = (State.GRADED, State.REVIEW)
    graded = [s for s in submissions if s.state in states and s.score is not None]
    if not graded:
        return None
    out_of = {s.max_score for s in graded}
    if len(out_of) == 1:
        scores, unit = [s.score or 0.0 for s in graded], f" of {_number(out_of.pop())}"
    else:
        scores, unit = [s.percent or 0.0 for s in graded], "%"
    return Scores(round(median(scores), 2), min(scores), max(scores), unit)


def _parts(kata: KataResult) -> list[Part]:
    """The specs in order; the timeline of a solution that does not run is left out."""
    if kata.state is State.UNGRADABLE:
        return []
    runs = kata.light in ("green", "red")

    def outcome(spec: SpecResult) -> object:
        return spec.passed or (spec.message, spec.line, spec.printed, spec.timeline if runs else [])

    parts = []
    for _, group in groupby(kata.specs, key=outcome):
        specs = list(group)
        first, titles = specs[0], tuple(spec.title for spec in specs)
        timeline = tuple(first.timeline) if runs else ()
        failure = Failure(kata.kata, titles, first.message, timeline, first.printed)
        parts.append(Part(titles, None if first.passed else failure, first.line))
    return parts


def _visible(value: object) -> object:
    """Text with an escape for each invisible or misleading character.

    These are control characters, those that change the direction of writing, and lone surrogates.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return UNSEEN.sub(lambda found: _escaped(found[0]), value.replace("\r\n", "\n"))


def _line(text: str) -> str:
    """Text as one visible line, so that a name can be clicked."""
    line = "".join(_escaped(c) if c in "\n\t" else c for c in text)
    return line if line.strip() else f"“{line}”"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _sentence(title: str) -> str:
    return title[:1].upper() + title[1:]


def _number(value: float) -> str:
    return f"{value:.10g}"


def _number_of(kata: str) -> str:
    """The short name of a kata: `k03`."""
    return kata.partition("_")[0] or kata


def _digest(block: str) -> str:
    """The hash of an inline block for a content security policy."""
    return base64.b64encode(hashlib.sha256(block.encode()).digest()).decode("ascii")

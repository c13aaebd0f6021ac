"""Shared by several formats: the only submission, verdicts, safe text and sources of specs."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from dojo.grading.formats import FormatError
from dojo.grading.results import KataResult, Results, SpecResult, State, SubmissionResult

# Neither XML nor UTF-8 nor a line of a log can hold all of these.
_UNSAFE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_ID = re.compile(r"tests/(\w+\.py)::(\w+)(?:\[.*)?", re.DOTALL)


def only_submission(results: Results, format_name: str) -> SubmissionResult:
    """The submission, for a format that holds one.

    Raises `FormatError`.
    """
    if len(results.submissions) != 1:
        raise FormatError(
            f"{format_name} holds one submission, and there are {len(results.submissions)}: "
            "grade one at a time, or use --format json, csv, junit or html"
        )
    return results.submissions[0]


def number_of(kata: KataResult) -> int:
    """3 for `k03_order_checkout`; 0 for what has no number."""
    match = re.match(r"k(\d+)", kata.kata, re.ASCII)
    return int(match[1]) if match else 0


def short_name(kata: KataResult) -> str:
    """`k03` for `k03_order_checkout`."""
    return one_line(kata.kata.partition("_")[0])


def passed(kata: KataResult, spec: SpecResult) -> bool:
    """Whether the spec counts as passed; it does not where the grading was tampered with."""
    return kata.counts and spec.passed


def status_of(kata: KataResult, spec: SpecResult) -> str:
    """`pass`, `fail`, or `error` where the solution does not run."""
    if passed(kata, spec):
        return "pass"
    return "error" if _does_not_run(kata) else "fail"


def earned(kata: KataResult, spec: SpecResult) -> float:
    """The points for the spec."""
    return kata.earned[spec.id] if passed(kata, spec) else 0.0


def nothing_ran(submission: SubmissionResult) -> bool:
    """Whether no solution of the submission runs."""
    return all(_does_not_run(kata) or not kata.specs for kata in submission.katas)


def _does_not_run(kata: KataResult) -> bool:
    return kata.light == "amber" and kata.counts


def why_nothing_ran(submission: SubmissionResult) -> str:
    """The reasons why no solution runs, by kata."""
    reasons = [
        f"{short_name(kata)}: {reason}"
        for kata in submission.katas
        for reason in dict.fromkeys(reason_for(kata, spec) for spec in kata.specs)
    ]
    return "\n\n".join(reasons) or "there is no spec to run"


def verdict_on(kata: KataResult) -> str:
    """One line, the reason for a state other than `graded`; or ""."""
    cause = one_line(kata.cause) or "no cause was found"
    match kata.state:
        case State.UNGRADABLE:
            return f"could not be graded, which is not the solution's fault: {cause}"
        case State.TAMPERED:
            return f"no points, because the grading was tampered with: {cause}"
        case State.REVIEW:
            return f"its points count, and a person should look at it: {cause}"
        case State.GRADED:
            return ""


def why_ungradable(submission: SubmissionResult) -> str:
    """One line, the reason why a submission could not be graded."""
    return one_line(submission.cause) or "no cause was found"


def reason_for(kata: KataResult, spec: SpecResult) -> str:
    """The reason why a spec does not count as passed; never empty."""
    parts = ["" if kata.counts else verdict_on(kata), clean(spec.message).strip()]
    return "\n\n".join(filter(None, parts)) or "it did not pass"


def story_of(kata: KataResult, spec: SpecResult) -> str:
    """The reason why a spec does not count as passed, with its timeline."""
    rows = [f"  {clean(row)}" for row in spec.timeline]
    return "\n".join([reason_for(kata, spec), *(["", "timeline", *rows] if rows else [])])


def clean(text: str) -> str:
    """The text with plain newlines, and U+FFFD for characters that no format can hold."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """The text on a single line."""
    return " ".join(clean(text).split())


def shortened(text: str, limit: int, notice: str = "… (cut)") -> str:
    """The text cut to at most `limit` characters, with the notice included."""
    return text if len(text) <= limit else text[: limit - len(notice)] + notice


def shown(points: float) -> str:
    """Points for people: `10`, `7.5`."""
    return str(int(points)) if float(points).is_integer() else str(points)


def as_json(document: dict[str, object]) -> str:
    """The document as indented JSON."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


class Sources:
    """The source of each spec, from the grader's own checkout; a file is parsed once."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "tests"
        self._files: dict[str, dict[str, str]] = {}

    def of(self, spec: SpecResult) -> str:
        """The source of the function that a spec's id names; empty where there is none."""
        match = _ID.fullmatch(spec.id)
        if match is None:
            return ""
        file, function = match.groups()
        if file not in self._files:
            self._files[file] = _functions_in(self._folder / file)
        return self._files[file].get(function, "")


def _functions_in(file: Path) -> dict[str, str]:
    try:
        source = file.read_text(encoding="utf-8")
        body = ast.parse(source).body
    except (OSError, SyntaxError, ValueError):
        return {}
    return {
        node.name: ast.get_source_segment(source, node) or ""
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

"""The verdict on a solution, from the report of the process that ran it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from dojo.catalogue import read_catalogue
from dojo.grading.results import State
from dojo.grading.sandbox.protocol import JobReport
from dojo.grading.submissions import SubmittedFile
from dojo.grading.verdict import not_run, verdict
from dojo.plugin.failures import Failure, Row
from selfcheck.projects import KATA, ROOT

pytestmark = pytest.mark.fast
FIRST = read_catalogue(ROOT)[KATA]
SPECS = [(f"tests/test_{KATA}.py::test_{n}", f"number {n}") for n in range(4)]
FOUND = Failure(
    KATA, "number 0", message="too early", timeline=[Row("mail", marked=True)], line=12
).write()


def outcome(number: int, passed: bool) -> dict[str, Any]:
    found = None if passed else FOUND
    return {"spec": SPECS[number][0], "passed": passed, "failure": found, "seconds": 0.1}


def all_passed() -> list[dict[str, Any]]:
    return [outcome(number, True) for number in range(len(SPECS))]


def graded(outcomes: list[dict[str, Any]], **more: Any):
    return verdict(FIRST, SPECS, "app.py", JobReport(outcomes=outcomes, **more))


def test_a_spec_that_passed_counts():
    """There is no other way to a point."""
    result = graded(all_passed())

    assert (result.state, result.light, result.score) == (State.GRADED, "green", FIRST.points)


def test_the_specs_of_the_lesson_are_marked():
    """`kata.toml` names functions, and each case of one counts; also where nothing was run."""
    function = FIRST.essential[0]
    specs = [(f"tests/test_{KATA}.py::{function}[{case}]", case) for case in "ab"]
    marked = verdict(FIRST, [*specs, *SPECS], "app.py", JobReport())
    missing = not_run(FIRST, [*specs, *SPECS], SubmittedFile("app.py", missing=True))

    for result in (marked, missing):
        assert [spec.essential for spec in result.specs] == [True, True, *[False] * len(SPECS)]


def test_a_failed_spec_shows_the_text_that_the_learner_reads():
    """It has the timeline, and the line that it points at."""
    result = graded([outcome(0, False), *all_passed()[1:]])

    spec = result.specs[0]
    assert not spec.passed
    assert spec.message.startswith("too early")
    assert (spec.timeline[0], spec.line) == ("> mail", 12)
    assert (result.state, result.light) == (State.GRADED, "red")


def test_a_spec_that_did_not_report_has_not_passed():
    """`os._exit(0)` after the third of nine is three ninths."""
    result = graded(all_passed()[:1], ended="its process ended by itself, with exit code 0")

    assert [spec.passed for spec in result.specs] == [True, False, False, False]
    assert result.specs[1].message == "no result: its process ended by itself, with exit code 0"


def test_nothing_at_all_is_amber():
    """A solution whose process sends nothing does not run."""
    result = graded([], ended="its process was ended by the signal SIGABRT")

    assert (result.light, result.state, result.score) == ("amber", State.GRADED, 0)


def test_a_forged_protocol_is_tampered():
    """It costs the kata, with the evidence for a person to read."""
    result = graded(all_passed(), tampered=["its process sent a message that is no JSON"])

    assert (result.state, result.light, result.score) == (State.TAMPERED, "red", 0)
    assert result.evidence == ["its process sent a message that is no JSON"]


def test_heavy_evidence_asks_for_a_review_and_takes_no_points():
    """It comes first, and once, whatever else was seen."""
    found = {
        "heavy": ["app.py:3 replaced json.loads"] * 2,
        "evidence": ["app.py:1 a", "app.py:1 a"],
    }

    result = graded(all_passed(), **found)

    assert (result.state, result.light, result.score) == (State.REVIEW, "green", FIRST.points)
    assert result.cause == "app.py:3 replaced json.loads"
    assert result.evidence == ["app.py:3 replaced json.loads", "app.py:1 a"]


def test_evidence_alone_takes_no_points():
    """It is for a person to read: an audit hook cannot know the intention."""
    result = graded(all_passed(), evidence=["app.py:3 looked at frames"])

    assert (result.state, result.score) == (State.GRADED, FIRST.points)
    assert result.evidence == ["app.py:3 looked at frames"]


def test_a_failure_of_the_grader_is_no_zero():
    """The student is not to blame for the machine."""
    result = graded([], trouble="the sandbox could not be built: no memory")

    assert (result.state, result.score) == (State.UNGRADABLE, None)
    assert result.cause == "the sandbox could not be built: no memory"


@pytest.mark.parametrize("text", ["\x1b[31m\x00", "\ud800", "x" * 100_000, "a\r\nb\u2028c"])
def test_all_text_of_a_solution_can_be_shown(text):
    """A terminal, an XML file and a spreadsheet will all have to hold it."""
    found = FOUND | {"message": text, "timeline": [asdict(Row("log", text))], "printed": text}
    result = graded([outcome(0, False) | {"failure": found}], evidence=[text], ended=text)

    for shown in (result.specs[0].message, *result.specs[0].timeline, *result.evidence):
        shown.encode("utf-8")
        assert len(shown) <= 4_000
        assert all(c.isprintable() or c in "\n\t" for c in shown)


@pytest.mark.parametrize(
    ("file", "light", "state"),
    [
        (SubmittedFile("app.py", missing=True), "grey", State.GRADED),
        (SubmittedFile("app.py", refused="app.py is a link"), "amber", State.GRADED),
        (SubmittedFile("app.py", trouble="app.py could not be read"), "grey", State.UNGRADABLE),
    ],
    ids=["missing", "refused", "unreadable"],
)
def test_a_file_that_was_not_read_is_not_run(file, light, state):
    """A missing file is not begun, a refused one does not run, and a disk error is no 0."""
    result = not_run(FIRST, SPECS, file)

    assert (result.light, result.state) == (light, state)
    assert not any(spec.passed for spec in result.specs)
    assert result.max_score == FIRST.points

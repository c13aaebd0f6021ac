"""What the grader believes of what it is told about an answer."""

from __future__ import annotations

from typing import Any

import pytest

from dojo.catalogue import read_catalogue
from dojo.grading.results import State
from dojo.grading.sandbox.protocol import Said
from dojo.grading.submissions import Answer
from dojo.grading.verdict import not_run, verdict
from dojo.plugin.failures import Failure
from selfcheck.projects import KATA, ROOT

pytestmark = pytest.mark.fast
FIRST = read_catalogue(ROOT)[KATA]
SPECS = [(f"tests/test_{KATA}.py::test_{n}", f"number {n}") for n in range(4)]
FOUND = Failure(KATA, "number 0", message="too early", timeline=["> mail"]).write()


def outcome(number: int, passed: bool, *, control: bool = False, **more: Any) -> dict[str, Any]:
    found = None if passed else FOUND
    known = {"spec": SPECS[number][0], "passed": passed, "failure": found, "seconds": 0.1}
    return {**known, "control": control, "reached": passed or control, **more}


def all_passed() -> list[dict[str, Any]]:
    return [
        outcome(number, not control, control=control)
        for number in range(len(SPECS))
        for control in (False, True)
    ]


def graded(outcomes: list[dict[str, Any]], **more: Any):
    return verdict(FIRST, SPECS, "app.py", Said(outcomes=outcomes, **more))


def test_a_spec_that_passed_and_whose_control_failed_counts():
    """The one way to a point."""
    result = graded(all_passed())

    assert (result.state, result.light, result.score) == (State.GRADED, "green", FIRST.points)


def test_a_spec_that_failed_says_what_the_learner_would_read():
    """With the timeline, and the line that it points at."""
    found = FOUND | {"frames": ["app.py:12 in send: write_log()", "ValueError: no"]}
    result = graded([outcome(0, False, failure=found), *all_passed()[2:]])

    spec = result.specs[0]
    assert not spec.passed
    assert spec.message.startswith("too early")
    assert (spec.timeline, spec.line) == (["> mail"], 12)
    assert (result.state, result.light) == (State.GRADED, "red")


def test_a_spec_that_did_not_report_has_not_passed():
    """`os._exit(0)` after the third of nine is three ninths."""
    result = graded(all_passed()[:2], ended="its process ended by itself, with exit code 0")

    assert [spec.passed for spec in result.specs] == [True, False, False, False]
    assert result.specs[1].message == "no result: its process ended by itself, with exit code 0"


def test_a_pass_without_its_control_does_not_count():
    """Nothing shows that the machinery still worked."""
    result = graded(all_passed()[:-1])

    assert [spec.passed for spec in result.specs] == [True, True, True, False]


def test_a_spec_that_never_came_to_its_end_has_not_passed():
    """Whatever pytest was made to say of it."""
    outcomes = all_passed()
    outcomes[0]["reached"] = False

    result = graded(outcomes)

    assert (result.state, result.score) == (State.TAMPERED, 0)
    assert result.cause == "a spec was called passed that had not come to its end: number 0"


def test_what_passes_once_and_fails_once_has_not_passed():
    """Its control fails by itself, before it is told to: a matter of luck is not an answer."""
    outcomes = all_passed()
    outcomes[1]["reached"] = False

    result = graded(outcomes)

    assert [spec.passed for spec in result.specs] == [False, True, True, True]
    assert result.specs[0].message == "it passed once, and once it did not: too early"
    assert result.state is State.GRADED


def test_nothing_at_all_is_amber():
    """It does not run."""
    result = graded([], ended="its process was ended by the signal SIGABRT")

    assert (result.light, result.state, result.score) == ("amber", State.GRADED, 0)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda o: o.append(outcome(1, True)), "a result that nobody asked for"),
        (lambda o: o.append(outcome(1, True, spec="tests/x.py::y")), "a result that nobody asked"),
        (lambda o: o[3].update(passed=True), "a control passed, which must fail: number 1"),
        (lambda o: o[2].update(passed=False, failure=7), "a result that no spec gives: number 1"),
        (lambda o: o[2].update(seconds="x"), "a result that no spec gives: number 1"),
        (lambda o: o[2].update(seconds=-1.0), "a result that no spec gives: number 1"),
    ],
    ids=["twice", "unknown", "control", "failure", "text", "negative"],
)
def test_what_does_not_fit_together_is_tampered(change, cause):
    """And costs the kata, with the evidence for a human to read."""
    outcomes = all_passed()
    change(outcomes)

    result = graded(outcomes)

    assert (result.state, result.score) == (State.TAMPERED, 0)
    assert cause in result.cause
    assert result.cause in result.evidence
    assert result.light != "green"


@pytest.mark.parametrize("said", [{"broken": True}, {"tampered": ["TestReport was replaced"]}])
def test_forged_lines_and_changed_machinery_are_tampered(said):
    """Even where every spec seems to have passed."""
    assert graded(all_passed(), **said).state is State.TAMPERED


def test_evidence_alone_takes_no_points():
    """It is for a human to read: an audit hook cannot know what somebody meant."""
    result = graded(all_passed(), evidence=["app.py:3 looked at frames"])

    assert (result.state, result.score) == (State.GRADED, FIRST.points)
    assert result.evidence == ["app.py:3 looked at frames"]


def test_trouble_of_ours_is_no_zero():
    """The machine's fault is not the student's."""
    result = graded([], trouble="the cell could not be built: no memory")

    assert (result.state, result.score) == (State.UNGRADABLE, None)
    assert result.cause == "the cell could not be built: no memory"


@pytest.mark.parametrize("text", ["\x1b[31m\x00", "\ud800", "x" * 100_000, "a\r\nb\u2028c"])
def test_whatever_an_answer_says_can_be_shown(text):
    """A terminal, an XML file and a spreadsheet will all have to hold it."""
    found = FOUND | {"message": text, "timeline": [text], "printed": text}
    result = graded([outcome(0, False, failure=found)], evidence=[text], ended=text)

    for said in (result.specs[0].message, *result.specs[0].timeline, *result.evidence):
        said.encode("utf-8")
        assert len(said) <= 4_000
        assert all(c.isprintable() or c in "\n\t" for c in said)


@pytest.mark.parametrize(
    ("answer", "light", "state"),
    [
        (Answer("app.py", missing=True), "grey", State.GRADED),
        (Answer("app.py", refused="app.py is a link"), "amber", State.GRADED),
        (Answer("app.py", trouble="app.py could not be read"), "grey", State.UNGRADABLE),
    ],
    ids=["missing", "refused", "unreadable"],
)
def test_an_answer_that_was_not_taken_is_not_run(answer, light, state):
    """What is missing is not begun, what is refused does not run, and a broken disk is ours."""
    result = not_run(FIRST, SPECS, answer)

    assert (result.light, result.state) == (light, state)
    assert not any(spec.passed for spec in result.specs)
    assert result.max_score == FIRST.points

"""Exercism's `results.json`, version 3."""

from __future__ import annotations

from dojo.grading.formats import Context
from dojo.grading.formats._common import (
    Sources,
    as_json,
    clean,
    nothing_ran,
    number_of,
    one_line,
    only_submission,
    passed,
    shortened,
    status_of,
    story_of,
    why_nothing_ran,
    why_ungradable,
)
from dojo.grading.results import KataResult, Results, SpecResult, State

MESSAGE = 65_535
OUTPUT = 500
TRUNCATED = "\nOutput was truncated, at most 500 characters are shown."


def emit(results: Results, context: Context) -> str:
    """The only submission, as Exercism's website reads it.

    Raises `FormatError`.
    """
    submission = only_submission(results, "exercism")
    if submission.state is State.UNGRADABLE:
        return _error(
            f"It could not be graded, which is not your fault: {why_ungradable(submission)}"
        )
    if nothing_ran(submission):
        return _error(why_nothing_ran(submission))
    sources = Sources(context.root)
    tests = [_test(kata, spec, sources) for kata in submission.katas for spec in kata.specs]
    whole = all(test["status"] == "pass" for test in tests)
    return as_json({"version": 3, "status": "pass" if whole else "fail", "tests": tests})


def _error(message: str) -> str:
    return as_json({"version": 3, "status": "error", "message": shortened(message, MESSAGE)})


def _test(kata: KataResult, spec: SpecResult, sources: Sources) -> dict[str, object]:
    test: dict[str, object] = {
        "name": one_line(spec.title),
        "status": status_of(kata, spec),
        "task_id": number_of(kata),
        "test_code": sources.of(spec),
    }
    if not passed(kata, spec):
        test["message"] = shortened(story_of(kata, spec), MESSAGE)
    if spec.printed:
        test["output"] = shortened(clean(spec.printed), OUTPUT, TRUNCATED)
    return test

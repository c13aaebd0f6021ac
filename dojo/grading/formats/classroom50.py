"""Classroom 50's `result.json`."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from dojo.grading.formats import Context, FormatError
from dojo.grading.formats._common import (
    as_json,
    clean,
    one_line,
    only_submission,
    passed,
    short_name,
    why_ungradable,
)
from dojo.grading.results import KataResult, Results, State

SCHEMA = "classroom50/result/v1"
TAG = "submit/"
TYPES = ("individual", "group")
MOMENT = "%Y-%m-%dT%H:%M:%SZ"


def emit(results: Results, context: Context) -> str:
    """The only submission, with one test for each kata.

    Raises `FormatError`, also where it could not be graded: the runner must see a failure then.
    """
    submission = only_submission(results, "classroom50")
    if submission.state is State.UNGRADABLE:
        raise FormatError(
            "classroom50 cannot express a submission that could not be graded, so this run must "
            f"fail instead: {why_ungradable(submission)}"
        )
    variables = _Variables(context)
    tests = [_test(kata) for kata in submission.katas]
    return as_json(
        {
            "schema": SCHEMA,
            "classroom": variables["CLASSROOM"],
            "assignment": variables["ASSIGNMENT"],
            "assignment_type": variables.assignment_type(),
            "owner": variables.get("OWNER") or variables["USERNAME"],
            "submission": variables.submission(),
            "commit": variables["COMMIT_URL"],
            "release": variables["RELEASE_URL"],
            "review": variables["REVIEW_URL"],
            "datetime": variables.moment(),
            "score": sum(_points(kata.score or 0.0) for kata in submission.katas),
            "max-score": sum(_points(kata.max_score) for kata in submission.katas),
            "tests": tests,
            "submitted_by": {"username": variables["USERNAME"]},
        }
    )


def _test(kata: KataResult) -> dict[str, object]:
    test: dict[str, object] = {
        "test-name": one_line(f"{short_name(kata)} {kata.title}"),
        "passed": bool(kata.specs) and all(passed(kata, spec) for spec in kata.specs),
        "score": _points(kata.score or 0.0),
        "max-score": _points(kata.max_score),
    }
    if kata.state in (State.TAMPERED, State.REVIEW):
        test[kata.state.value] = one_line(kata.cause)
        test["evidence"] = [clean(line) for line in kata.evidence]
    return test


def _points(points: float) -> int:
    """Whole points, rounded down, so that only a complete solution has all of them."""
    return math.floor(points)


class _Variables:
    """The environment variables that the runner of Classroom 50 sets."""

    def __init__(self, context: Context) -> None:
        self._environment = context.environment

    def get(self, name: str) -> str:
        """The value of a variable; empty where it is not set."""
        return clean(self._environment.get(name, "")).strip()

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if not value:
            raise FormatError(
                f"classroom50 needs the environment variable {name}, which its runner sets: "
                "run this as its autograder, or use another --format"
            )
        return value

    def assignment_type(self) -> str:
        """The type of the assignment, one of `TYPES`."""
        value = self.get("ASSIGNMENT_TYPE") or TYPES[0]
        if value not in TYPES:
            raise FormatError(
                f"classroom50: ASSIGNMENT_TYPE is {value!r}: give {' or '.join(TYPES)}"
            )
        return value

    def submission(self) -> str:
        """The tag of the submission."""
        value = self["SUBMISSION_TAG"]
        if not value.startswith(TAG):
            raise FormatError(f"classroom50: SUBMISSION_TAG is {value!r}: it must begin with {TAG}")
        return value

    def moment(self) -> str:
        """The time of submission if that is known, or else now; in UTC."""
        given = self.get("DATETIME")
        try:
            moment = datetime.strptime(given, MOMENT)
        except ValueError:
            moment = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
        return f"{moment.isoformat()}Z"

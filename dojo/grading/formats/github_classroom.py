"""The payload of GitHub Classroom's graders, which other tools still read."""

from __future__ import annotations

import base64
import json
import math

from dojo.grading.formats import Context, FormatError
from dojo.grading.formats._common import (
    Sources,
    clean,
    earned,
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
from dojo.grading.results import KataResult, Results, SpecResult, State, SubmissionResult

# Readers get the payload in an environment variable, and Linux starts no program with a variable
# of 128 KiB or more.
PAYLOAD = 120_000
TEXTS = (8_000, 4_000, 2_000, 1_000, 500, 200, 80)


def emit(results: Results, context: Context) -> str:
    """The only submission, as base64 for the step output `result`; long texts are cut to fit.

    Raises `FormatError`.
    """
    submission = only_submission(results, "github-classroom")
    sources = Sources(context.root)
    for limit in TEXTS:
        document = _document(submission, sources, limit)
        compact = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        payload = base64.b64encode(compact.encode()).decode("ascii")
        if len(payload) <= PAYLOAD:
            return payload
    raise FormatError(
        f"github-classroom holds {PAYLOAD:,} characters, and this submission has too many specs: "
        "grade fewer katas at a time, or use another --format"
    )


def _document(submission: SubmissionResult, sources: Sources, limit: int) -> dict[str, object]:
    tests = [_test(kata, spec, sources, limit) for kata in submission.katas for spec in kata.specs]
    status, message = "fail", ""
    if submission.state is State.UNGRADABLE:
        status = "error"
        message = f"It could not be graded, which is not your fault: {why_ungradable(submission)}"
    elif nothing_ran(submission):
        status, message = "error", why_nothing_ran(submission)
    elif all(test["status"] == "pass" for test in tests):
        status = "pass"
    message = shortened(message, limit)
    if submission.state is State.UNGRADABLE or not tests:
        tests = [_error(message)]
    return {
        "version": 3,
        "status": status,
        "message": message,
        "max_score": max(1, math.ceil(submission.max_score)),
        "tests": tests,
    }


def _test(kata: KataResult, spec: SpecResult, sources: Sources, limit: int) -> dict[str, object]:
    done = passed(kata, spec)
    return {
        "name": shortened(one_line(spec.title), limit),
        "status": status_of(kata, spec),
        "message": "" if done else shortened(story_of(kata, spec), limit),
        "test_code": shortened(sources.of(spec), limit),
        "task_id": number_of(kata),
        "filename": shortened(clean(kata.file), limit),
        "line_no": spec.line,
        "duration": spec.seconds,
        "score": earned(kata, spec),
        "output": shortened(clean(spec.printed), limit),
    }


def _error(message: str) -> dict[str, object]:
    return {
        "name": "the submission can be graded",
        "status": "error",
        "message": message,
        "test_code": "",
        "task_id": 0,
        "filename": "",
        "line_no": 0,
        "duration": 0.0,
        "score": 0.0,
        "output": "",
    }

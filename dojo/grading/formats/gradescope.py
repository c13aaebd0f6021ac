"""Gradescope's `results.json`."""

from __future__ import annotations

from dojo.grading.formats import Context
from dojo.grading.formats._common import (
    as_json,
    clean,
    earned,
    number_of,
    one_line,
    only_submission,
    passed,
    short_name,
    story_of,
    verdict_on,
    why_ungradable,
)
from dojo.grading.results import KataResult, Results, SpecResult, State, SubmissionResult

UNGRADABLE = """\
COULD NOT BE GRADED

The score of 0 is not a grade. Where nothing was found, hand your files in again, in the folders
that the card names. Everything else is not the student's fault: the grader itself, or the machine
that it ran on, failed. Ask your teacher to run the autograder again.

What went wrong: {cause}"""


def emit(results: Results, _context: Context) -> str:
    """The only submission, as Gradescope's website reads it.

    Raises `FormatError`.
    """
    submission = only_submission(results, "gradescope")
    document: dict[str, object] = {
        "score": submission.score or 0.0,
        "execution_time": submission.seconds,
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "tests": [],
    }
    if submission.state is State.UNGRADABLE:
        return as_json({**document, "output": UNGRADABLE.format(cause=why_ungradable(submission))})
    tampered = [kata for kata in submission.katas if kata.state is State.TAMPERED]
    if tampered:
        document["output"] = "\n".join(f"{short_name(k)}: {verdict_on(k)}" for k in tampered)
    elif notes := [f"{short_name(k)}: {one_line(k.note)}" for k in submission.katas if k.note]:
        document["output"] = "\n".join(notes)
    extra = {
        state.value: [_evidence(kata) for kata in submission.katas if kata.state is state]
        for state in (State.TAMPERED, State.REVIEW)
    }
    if any(extra.values()):
        document["extra_data"] = {state: katas for state, katas in extra.items() if katas}
    return as_json({**document, "tests": _tests(submission)})


def _evidence(kata: KataResult) -> dict[str, object]:
    # A hidden test would hide the student's total, so a teacher finds this in the extra data.
    return {
        "kata": one_line(kata.kata),
        "cause": one_line(kata.cause),
        "evidence": [clean(line) for line in kata.evidence],
    }


def _tests(submission: SubmissionResult) -> list[dict[str, object]]:
    return [
        _test(kata, number, spec)
        for kata in submission.katas
        for number, spec in enumerate(kata.specs, start=1)
    ]


def _test(kata: KataResult, number: int, spec: SpecResult) -> dict[str, object]:
    test: dict[str, object] = {
        "number": f"{number_of(kata)}.{number}",
        "name": one_line(spec.title),
        "score": earned(kata, spec),
        "max_score": spec.points,
        "status": "passed",
        "tags": [short_name(kata)],
    }
    if not passed(kata, spec):
        printed = f"\n\nprinted\n{clean(spec.printed)}" if spec.printed else ""
        test |= {"status": "failed", "output": story_of(kata, spec) + printed}
    return test

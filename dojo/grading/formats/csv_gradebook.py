"""A gradebook for spreadsheets: one row for each submission, one column for each kata."""

from __future__ import annotations

import csv
import io

from dojo.grading.formats import Context
from dojo.grading.formats._common import clean, shown
from dojo.grading.results import Results, SubmissionResult
from dojo.spreadsheets import as_text

COLUMNS = ("submission", "score", "max_score", "percent", "state", "seconds")


def emit(results: Results, _context: Context) -> str:
    """All submissions; a field is empty where there is no score, or no such kata."""
    katas = sorted({kata.kata for submission in results.submissions for kata in submission.katas})
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*COLUMNS, *map(_cell, katas)])
    for submission in results.submissions:
        writer.writerow(_row(submission, katas))
    return file.getvalue()


def _row(submission: SubmissionResult, katas: list[str]) -> list[str]:
    scores = {kata.kata: kata.score for kata in submission.katas}
    return [
        _cell(submission.name),
        _points(submission.score),
        _points(submission.max_score),
        _points(submission.percent),
        submission.state,
        _points(round(submission.seconds, 3)),
        *(_points(scores.get(kata)) for kata in katas),
    ]


def _points(points: float | None) -> str:
    return "" if points is None else shown(points)


def _cell(text: str) -> str:
    """Text that no spreadsheet reads as a formula."""
    return as_text(clean(text))

"""The results as they are: the model itself, as JSON."""

from __future__ import annotations

from dojo.grading.formats import Context
from dojo.grading.results import Results


def emit(results: Results, context: Context) -> str:
    return results.text()

"""Results in the formats of other tools: one model, and one emitter for each format."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dojo.grading.results import Results

MODULES = {
    "json": "json_results",
    "junit": "junit",
    "exercism": "exercism",
    "gradescope": "gradescope",
    "classroom50": "classroom50",
    "github-classroom": "github_classroom",
    "actions": "actions",
    "csv": "csv_gradebook",
    "html": "html",
}
SINGLE = ("exercism", "gradescope", "classroom50", "github-classroom")  # hold one submission
SUFFIXES = {".json": "json", ".xml": "junit", ".csv": "csv", ".html": "html", ".htm": "html"}


class FormatError(Exception):
    """Results that a format cannot express; the message says what to do instead."""


@dataclass(frozen=True)
class Context:
    """The input of an emitter besides the results.

    `root` is the grader's own checkout, with `tests/` in it. `environment` is that of the process.
    """

    root: Path
    environment: Mapping[str, str]


Emitter = Callable[[Results, Context], str]


def emit(name: str, results: Results, context: Context) -> str:
    """The results in the format of that name, one of `MODULES`.

    Raises `FormatError`.
    """
    emitter: Emitter = importlib.import_module(f"{__name__}.{MODULES[name]}").emit
    return emitter(results, context)

"""Evidence: what no honest solution needs is noted, and takes no points by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from dojo.catalogue import read_catalogue
from dojo.grading.results import KataResult, State
from dojo.grading.sandbox.evidence import suspicious
from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.protocol import Job
from dojo.grading.verdict import verdict
from dojo.grading.worker_pool import WorkerPool
from selfcheck.projects import KATA, ROOT, changed

FIRST = read_catalogue(ROOT)[KATA]
AT_IMPORT = "app = FastAPI()\n"


def graded(worker_pool: WorkerPool, source: str) -> KataResult:
    report = worker_pool.run(Job(KATA, source, Limits()))
    return verdict(FIRST, worker_pool.specs[KATA], "app.py", report)


def at_import(lines: str) -> str:
    """The reference with these lines added at import."""
    return changed(AT_IMPORT, f"{AT_IMPORT}{lines}\n")


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ("import dojo.plugin.failures\ndojo.plugin.failures.title_of = len", "imports dojo"),
        (
            "import importlib\nimportlib.import_module('dojo.harness.timeline')",
            "names a module of the grader: dojo.harness.timeline",
        ),
        ("import gc\ngc.get_objects()", "names get_objects: all objects"),
        ("open.__globals__", "names __globals__"),
    ],
)
def test_to_reach_for_the_grader_asks_for_a_review(worker_pool, lines, cause):
    """No honest program needs the code that observes it."""
    result = graded(worker_pool, at_import(lines))

    assert result.state is State.REVIEW
    assert cause in result.cause
    assert not any(spec.message.startswith("no result") for spec in result.specs)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("import gc; gc.collect()", "app.py:6 imports gc"),
        ("import sys; sys._getframe()", r"app.py:6 looked at the frames"),
        ("import inspect; inspect.currentframe()", r"app.py:6 looked at the frames"),
        ("import os; os.listdir('/')", r"app.py:6 listed a path outside its folder: /"),
        ("from pathlib import Path; Path('../../x').exists() or 1", ""),
        (
            "try: open('../../x', 'w')\nexcept OSError: 0",
            "tried to write a path outside its folder: ../",
        ),
        ("import subprocess\ntry: subprocess.run('true')\nexcept OSError: 0", "started a process"),
        ("import os\ntry: os.kill(1, 0)\nexcept OSError: 0", "app.py:7 sent a signal"),
        ("import ctypes; ctypes.CDLL(None)", "app.py:6 imports ctypes"),
        ("import pytest", "app.py:6 imports pytest"),
    ],
    ids=lambda value: value.partition("\n")[0].replace(" ", "-")[:40],
)
def test_unusual_actions_are_noted(worker_pool, lines, expected):
    """They are for a person to read, and take no points by themselves."""
    result = graded(worker_pool, at_import(lines))

    assert (result.state, result.score) == (State.GRADED, FIRST.points)
    assert any(expected in entry for entry in result.evidence) == bool(expected), result.evidence


@pytest.mark.parametrize(
    "file", sorted((ROOT / "solutions" / KATA / "right").glob("*.py")), ids=lambda file: file.stem
)
def test_right_solutions_have_no_evidence(worker_pool, file: Path):
    """Evidence against honest solutions is worth nothing."""
    result = graded(worker_pool, file.read_text(encoding="utf-8"))

    assert (result.state, result.evidence, result.score) == (State.GRADED, [], FIRST.points)


@pytest.mark.parametrize("source", ["", "def f(:", "\0", "(" * 5_000, "x = '\udcff'"])
def test_text_that_is_not_python_has_no_suspicious_names(source):
    """It does not load, and the failure says so."""
    assert suspicious(source.encode("utf-8", "surrogateescape")) == ([], [])

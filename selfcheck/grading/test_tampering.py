"""The guard: it notices changed machinery, and writes down what an honest answer never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from dojo.catalogue import read_catalogue
from dojo.grading.results import KataResult, State
from dojo.grading.routes import asked_for, routes
from dojo.grading.sandbox.policy import Limits
from dojo.grading.sandbox.protocol import Job
from dojo.grading.sandbox.tampering import suspicious
from dojo.grading.verdict import verdict
from dojo.grading.worker_pool import WorkerPool
from selfcheck.projects import KATA, RIGHT, ROOT, changed

FIRST = read_catalogue(ROOT)[KATA]
AT_IMPORT = "app = FastAPI()\n"
IN_TASK = '    """Append `message` to `filename` and end the line."""\n'


def graded(worker_pool: WorkerPool, source: str) -> KataResult:
    said = worker_pool.run(Job(KATA, source, Limits()))
    return verdict(FIRST, worker_pool.specs[KATA], "app.py", said)


def at_import(lines: str) -> str:
    """The reference answer, which does this as well when it is loaded."""
    return changed(AT_IMPORT, f"{AT_IMPORT}{lines}\n")


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("import _pytest.reports as r\nr.TestReport.from_item_and_call = None", "TestReport"),
        (
            "import dojo.plugin.failures\ndojo.failure.rows = len",
            "dojo.plugin.failures.rows was replaced",
        ),
        (
            "import dojo.observers.files as d\nd.len = lambda a: 0",
            "dojo.observers.files.len was added",
        ),
        ("import builtins\nbuiltins.AssertionError = ValueError", "builtins.AssertionError was"),
        ("import builtins\nbuiltins.sorted = list", "builtins.sorted was replaced"),
        (
            "import sys\nsys.modules['dojo.observers.files'] = 1",
            "the module dojo.observers.files was replaced",
        ),
        (
            "import dojo.observers.files as d\nf = lambda: 0\nd.use.__code__ = f.__code__",
            "__code__",
        ),
        ("import unittest\nunittest.TestCase.run = len", "TestCase.run was replaced"),
        (
            "import sys\n"
            "frame = sys._getframe()\n"
            "while 'item' not in frame.f_locals:\n"
            "    frame = frame.f_back\n"
            "frame.f_locals['item'].config.pluginmanager.register(object())",
            "plugins of pytest were changed",
        ),
    ],
    ids=lambda value: None if "\n" in value else value.replace(" ", "-"),
)
def test_changed_machinery_is_tampering(worker_pool, lines, what):
    """Also where nothing was gained by it: the answer here is right, and would have passed."""
    result = graded(worker_pool, at_import(lines))

    assert (result.state, result.score) == (State.TAMPERED, 0)
    assert any(what in entry for entry in result.evidence), result.evidence


@pytest.mark.parametrize(
    "lines",
    [
        "import dojo.harness.exchange as e; del e.Exchange.json",
        "import dojo.observers.files as d; d.Disk.__eq__ = lambda *a: True",
        "import json; json.JSONDecoder.decode = len",
    ],
)
def test_what_specs_look_at_the_world_with_cannot_be_changed(worker_pool, lines):
    """Not for a moment either, in which nobody compares."""
    result = graded(worker_pool, at_import(lines))

    assert (result.state, result.light, result.score) == (State.GRADED, "amber", 0)
    assert "immutable type" in result.specs[0].message


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("import gc; gc.get_objects()", r"app.py:6 looked through all objects"),
        ("import sys; sys._getframe()", r"app.py:6 looked at the frames"),
        ("import inspect; inspect.currentframe()", r"app.py:6 looked at the frames"),
        ("import os; os.listdir('/')", r"app.py:6 listed what is not its own: /"),
        ("from pathlib import Path; Path('../../x').exists() or 1", ""),
        ("try: open('../../x', 'w')\nexcept OSError: 0", "tried to write what is not its own: ../"),
        ("import subprocess\ntry: subprocess.run('true')\nexcept OSError: 0", "started a process"),
        ("import os\ntry: os.kill(1, 0)\nexcept OSError: 0", "app.py:7 sent a signal"),
        ("import ctypes; ctypes.CDLL(None)", "app.py:6 imports ctypes"),
        ("import pytest", "app.py:6 imports pytest"),
    ],
    ids=lambda value: value.partition("\n")[0].replace(" ", "-")[:40],
)
def test_what_an_honest_answer_never_does_is_written_down(worker_pool, lines, what):
    """For a human to read; it takes no points by itself."""
    result = graded(worker_pool, at_import(lines))

    assert (result.state, result.score) == (State.GRADED, FIRST.points)
    assert any(what in entry for entry in result.evidence) == bool(what), result.evidence


@pytest.mark.parametrize(
    "file", sorted((ROOT / "solutions" / KATA / "right").glob("*.py")), ids=lambda file: file.stem
)
def test_right_answers_are_suspected_of_nothing(worker_pool, file: Path):
    """Evidence that names honest people is worth nothing."""
    result = graded(worker_pool, file.read_text(encoding="utf-8"))

    assert (result.state, result.evidence, result.score) == (State.GRADED, [], FIRST.points)


@pytest.mark.parametrize("source", ["", "def f(:", "\0", "(" * 5_000, "x = '\udcff'"])
def test_text_that_is_no_python_is_not_looked_at(source):
    """It does not load either, and says so."""
    assert suspicious(source.encode("utf-8", "surrogateescape")) == []
    assert routes(source.encode("utf-8", "surrogateescape")) == []


def test_a_red_spec_points_at_the_route_that_was_asked(worker_pool):
    """An assertion has no line in the answer: the annotation must stand somewhere all the same."""
    source = RIGHT.replace("background_tasks.add_task(write_log, ", "write_log(")
    result = graded(worker_pool, source)

    line = next(spec.line for spec in result.specs if not spec.passed)
    assert "def send_notification" in source.splitlines()[line - 1]


def test_a_route_with_parts_that_vary_is_found():
    """`/photos/7` was asked for, `/photos/{id}` is what is written."""
    source = (
        b'@app.get("/photos/{id}")\ndef show(): ...\n@app.post("/photos")\nasync def add(): ...\n'
    )
    places = routes(source)

    assert asked_for(["  request   GET /photos/7"], places) == 2
    assert asked_for(["  1 request   POST /photos"], places) == 4
    assert asked_for(["  request   PUT /photos"], places) == 0
    assert asked_for(["  nothing happened"], places) == 0

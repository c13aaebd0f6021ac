"""The routes of a solution: a result points at the line of one."""

from __future__ import annotations

import pytest

from dojo.catalogue import read_catalogue
from dojo.grading.routes import asked_for, routes
from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.protocol import Job
from dojo.grading.verdict import verdict
from selfcheck.projects import KATA, RIGHT, ROOT

FIRST = read_catalogue(ROOT)[KATA]


@pytest.mark.parametrize("source", ["", "def f(:", "\0", "(" * 5_000, "x = '\udcff'"])
def test_text_that_is_not_python_has_no_routes(source):
    """It does not load, and the failure says so."""
    assert routes(source.encode("utf-8", "surrogateescape")) == []


def test_a_red_spec_points_at_the_route_that_was_asked(worker_pool):
    """An assertion has no line in the solution, but an annotation needs one."""
    source = RIGHT.replace("background_tasks.add_task(write_log, ", "write_log(")
    report = worker_pool.run(Job(KATA, source, Limits()))
    result = verdict(FIRST, worker_pool.specs[KATA], "app.py", report)

    line = next(spec.line for spec in result.specs if not spec.passed)
    assert "def send_notification" in source.splitlines()[line - 1]


def test_a_route_with_parts_that_vary_is_found():
    """A request to `/photos/7` goes to the route `/photos/{id}`."""
    source = (
        b'@app.get("/photos/{id}")\ndef show(): ...\n@app.post("/photos")\nasync def add(): ...\n'
    )
    found = routes(source)

    assert asked_for("GET /photos/7", found) == 2
    assert asked_for("POST /photos", found) == 4
    assert asked_for("PUT /photos", found) == 0
    assert asked_for("", found) == 0

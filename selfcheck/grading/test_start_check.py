"""A known good solution is run before the first submission, in the isolation that was chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from dojo.catalogue import read_catalogue
from dojo.grading.results import Isolation
from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.protocol import Job, JobReport
from dojo.grading.start_check import check_isolation
from dojo.grading.worker_pool import GradingError, WorkerPool
from selfcheck.projects import KATA, ROOT

pytestmark = pytest.mark.fast
FIRST = read_catalogue(ROOT)[KATA]
SPEC = f"tests/test_{KATA}.py::{FIRST.essential[0]}"
OTHER = f"tests/test_{KATA}.py::test_other"


def passed(spec: str) -> JobReport:
    return JobReport([{"spec": spec, "seconds": 0.1, "failure": None, "passed": True}])


class FakePool:
    """A worker pool whose jobs fail inside namespaces, or everywhere."""

    def __init__(self, *, inside: bool, outside: bool) -> None:
        self.specs = {KATA: [(SPEC, "the lesson"), (OTHER, "another")]}
        self.isolation = Isolation(in_force=["a network of its own, with nothing on it"])
        self.jobs: list[Job] = []
        self._works = {True: inside, False: outside}
        self._namespaces = True

    def restart(self, *, use_namespaces: bool) -> None:
        self._namespaces = use_namespaces
        self.isolation = Isolation()

    def run(self, job: Job) -> JobReport:
        self.jobs.append(job)
        return passed(SPEC) if self._works[self._namespaces] else JobReport(trouble="no threads")


def check(root: Path = ROOT, **works: Any) -> FakePool:
    pool = FakePool(**works)
    kata = replace(FIRST, root=root)
    check_isolation(cast(WorkerPool, pool), [kata], Limits(seconds=1))
    return pool


def test_a_solution_that_passes_says_nothing():
    pool = check(inside=True, outside=False)

    assert [job.specs for job in pool.jobs] == [(FIRST.essential[0],)]
    assert pool.jobs[0].limits.seconds == Limits.seconds
    assert pool.isolation.missing == []


def test_an_isolation_in_which_nothing_passes_is_lowered_with_a_word():
    pool = check(inside=False, outside=True)

    assert [entry for entry in pool.isolation.missing if "no threads" in entry] != []


def test_a_machine_on_which_nothing_passes_grades_nothing():
    """Rather than nought points for everybody."""
    with pytest.raises(GradingError, match=r"nothing can be graded on this machine: .* no threads"):
        check(inside=False, outside=False)


def test_a_checkout_without_reference_solutions_is_not_checked(tmp_path: Path):
    assert check(tmp_path, inside=False, outside=False).jobs == []

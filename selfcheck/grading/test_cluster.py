"""Grading on a Dask cluster gives what grading here gives, also when a worker of it dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from dojo.catalogue import read_catalogue
from dojo.grading import cluster
from dojo.grading.results import Isolation, State, SubmissionResult
from dojo.grading.sandbox.limits import Limits
from dojo.grading.scheduling import Grader
from dojo.grading.submissions import SubmittedFile, SubmittedFiles
from dojo.grading.worker_pool import GradingError, WorkerPool
from selfcheck.projects import CALLED, CRASHES, KATA, RIGHT, ROOT

distributed = pytest.importorskip("distributed")
FIRST = read_catalogue(ROOT)[KATA]
SOURCES = [RIGHT, CALLED, CRASHES, "def f(:", ""]


def submitted(count: int) -> list[SubmittedFiles]:
    """Submissions that all differ."""
    return [
        SubmittedFiles(
            f"s{n}", {KATA: SubmittedFile("app.py", f"{SOURCES[n % 5]}\n# {n}\n".encode())}
        )
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def local_cluster() -> Iterator[object]:
    """A scheduler and two workers on this machine, each a process."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        host="127.0.0.1",
    ) as started:
        yield started


def graded(address: str, submissions: list[SubmittedFiles], kill: object = None):
    isolation = Isolation()
    found: dict[str, SubmissionResult] = {}
    words = ([FIRST], Limits(), iter(submissions), isolation)
    for submission, result in cluster.grade(address, *words):
        found[submission.name] = result
        if callable(kill) and len(found) == len(submissions) // 3:
            kill()
    return found, isolation


def verdicts(results: dict[str, SubmissionResult]) -> dict[str, object]:
    return {
        name: (result.state, result.score, [spec.passed for spec in result.katas[0].specs])
        for name, result in results.items()
    }


def here(submissions: list[SubmittedFiles]) -> dict[str, SubmissionResult]:
    with WorkerPool(ROOT, [FIRST], Limits()) as worker_pool:
        graded = Grader(worker_pool, [FIRST], Limits(), 2).grade(submissions)
        return {submission.name: result for submission, result in graded}


def test_a_cluster_gives_the_same_results(local_cluster):
    """On several machines only the time changes."""
    submissions = submitted(10)

    found, isolation = graded(local_cluster.scheduler_address, submissions)

    assert verdicts(found) == verdicts(here(submissions))
    assert "a process of its own" in isolation.in_force[0]


def test_a_worker_that_dies_loses_nothing(local_cluster):
    """Another worker gets its submissions, and each has one result."""
    submissions = submitted(9)
    worker = local_cluster.workers[0]

    def kill() -> None:
        os.kill(worker.pid, signal.SIGKILL)

    found, _ = graded(local_cluster.scheduler_address, submissions, kill)

    assert len(found) == 9
    assert verdicts(found) == verdicts(here(submissions))


def test_a_missing_scheduler_is_reported(monkeypatch):
    """The message is one line and comes within seconds."""
    assert cluster.CONNECT <= 30
    monkeypatch.setattr(cluster, "CONNECT", 1)

    with pytest.raises(GradingError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        graded("tcp://127.0.0.1:9", submitted(1))


def test_a_worker_with_other_specs_grades_nothing(local_cluster, monkeypatch):
    """Two versions of a spec in one gradebook would be unfair to all."""
    monkeypatch.setattr(cluster, "fingerprint", lambda katas: "another version")

    found, _ = graded(local_cluster.scheduler_address, submitted(1))

    assert found["s0"].state is State.UNGRADABLE
    assert "another version of the dojo" in found["s0"].cause
    assert found["s0"].score is None


def test_isolation_in_force_everywhere_and_missing_anywhere_is_merged():
    """The report must promise no more than every machine has kept."""
    one = Isolation(in_force=["a", "b"], missing=["c"])
    other = Isolation(in_force=["a"], missing=["b", "c"])

    merged = cluster.merge_isolation([one, other])

    assert merged == Isolation(in_force=["a"], missing=["c", "b"])


def test_the_fingerprint_is_that_of_specs_and_tool():
    """Line ends are ignored: git changes them on its own."""
    assert cluster.fingerprint([FIRST]) == cluster.fingerprint([FIRST])
    assert cluster.fingerprint([FIRST]) != cluster.fingerprint([])

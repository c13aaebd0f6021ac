"""A plain solution's process runs several specs; what is red in such a one is tried anew."""

from __future__ import annotations

import pytest

from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.protocol import Job, JobReport
from dojo.grading.worker_pool import WorkerPool
from selfcheck.projects import KATA, changed

AT_IMPORT = "app = FastAPI()\n"
# The names of loggers outlive a spec, in a process that goes on.
AGAIN = "import logging\nSEEN = 'x' in logging.root.manager.loggerDict\nlogging.getLogger('x')\n"
THREAD = (
    "import queue, threading\n"
    "threading.Thread(target=queue.SimpleQueue().get, daemon=True).start()\n"
)


def report_on(worker_pool: WorkerPool, lines: str, old: str = "", new: str = "") -> JobReport:
    """The report on the reference, with these lines at import and with one text replaced."""
    source = changed(AT_IMPORT, f"{AT_IMPORT}{lines}")
    return worker_pool.run(Job(KATA, changed(old, new, source) if old else source, Limits()))


def passed(report: JobReport) -> list[bool]:
    return [outcome["passed"] for outcome in report.outcomes]


def test_the_process_of_a_plain_solution_goes_on(worker_pool):
    """All specs of a kata of ten are run by one process, in whatever order, and told in theirs."""
    report = report_on(worker_pool, "")

    assert all(passed(report))
    assert report.processes <= 2  # one, unless the machine is very busy
    assert [o["spec"] for o in report.outcomes] == [i for i, _ in worker_pool.specs[KATA]]


@pytest.mark.parametrize(
    "lines",
    ["import sys\n", THREAD],
    ids=["not plain", "a thread that does not end"],
)
def test_what_is_not_plain_or_leaves_something_has_a_process_for_each_spec(worker_pool, lines):
    report = report_on(worker_pool, lines)

    assert all(passed(report))
    assert report.processes == len(report.outcomes)


def test_what_a_spec_before_has_left_makes_no_spec_red(worker_pool):
    """Red in a process that has run another spec: run again in a new one, and that counts."""
    report = report_on(worker_pool, f"{AGAIN}if SEEN:\n    raise RuntimeError\n")

    assert all(passed(report))
    assert report.processes == len(report.outcomes)


def test_a_red_spec_is_red_by_a_process_of_its_own(worker_pool):
    """What it prints shows whose it is."""
    report = report_on(
        worker_pool,
        f"{AGAIN}print('seen', SEEN)\n",
        "{message}\\n",
        "{message}!\\n",
    )
    red = [outcome for outcome in report.outcomes if not outcome["passed"]]

    assert red
    assert len(red) <= report.processes < len(report.outcomes) + len(red)
    assert all("seen False" in str(outcome["failure"]) for outcome in red)

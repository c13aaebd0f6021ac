"""Grades many submissions at a time: each kata of each in a process of its own."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from dojo.catalogue import Kata
from dojo.grading.results import KataResult, State, SubmissionResult
from dojo.grading.same_files import digest_of
from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.protocol import Job, JobReport
from dojo.grading.submissions import SubmittedFile, SubmittedFiles
from dojo.grading.verdict import not_run, verdict
from dojo.grading.worker_pool import WorkerPool

REMEMBERED = 64  # verdicts
AHEAD = 4  # submissions in work for each job


class Grader:
    """Grades submissions in parallel, with `jobs` processes at a time."""

    def __init__(
        self, worker_pool: WorkerPool, katas: Sequence[Kata], limits: Limits, jobs: int
    ) -> None:
        self.worker_pool = worker_pool
        self.katas = katas
        self.limits = limits
        self.jobs = jobs
        self._known: OrderedDict[tuple[str, str], KataResult] = OrderedDict()
        self._lock = threading.Lock()

    def grade(
        self, submissions: Iterable[SubmittedFiles]
    ) -> Iterator[tuple[SubmittedFiles, SubmissionResult]]:
        """Grade in the given order; yield each result when those before it are complete."""
        pool = ThreadPoolExecutor(self.jobs, thread_name_prefix="grade")
        under_way: deque[tuple[SubmittedFiles, list[Future[KataResult]]]] = deque()
        try:
            for submission in submissions:
                futures = [
                    pool.submit(self.grade_file, kata, submission.files[kata.name])
                    for kata in self.katas
                ]
                under_way.append((submission, futures))
                while len(under_way) > AHEAD * self.jobs:
                    yield _together(*under_way.popleft())
            while under_way:
                yield _together(*under_way.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def grade_file(self, kata: Kata, file: SubmittedFile) -> KataResult:
        """Grade one file; the same bytes are run once and get the same verdict."""
        specs = self.worker_pool.specs[kata.name]
        if file.source is None:
            return not_run(kata, specs, file)
        digest = digest_of(file.source)
        key = (kata.name, digest)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
        if known is not None:
            return known.model_copy(update={"file": file.path, "seconds": 0.0})
        job = Job(
            kata.name,
            file.source.decode("utf-8", "surrogateescape"),
            self.limits,
        )
        began = time.monotonic()
        report = self.worker_pool.run(job)
        try:
            result = verdict(kata, specs, file.path, report)
        except Exception as error:  # noqa: BLE001 - one report must not stop the others
            report = JobReport(trouble=f"the grader could not read the report: {error!r}")
            result = verdict(kata, specs, file.path, report)
        result.digest = digest
        result.seconds = round(time.monotonic() - began, 3)
        if result.state is not State.UNGRADABLE:
            with self._lock:
                self._known[key] = result
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        return result


def _together(
    submission: SubmittedFiles, futures: list[Future[KataResult]]
) -> tuple[SubmittedFiles, SubmissionResult]:
    katas = [future.result() for future in futures]
    seconds = round(sum(kata.seconds for kata in katas), 3)
    return submission, SubmissionResult(name=submission.name, seconds=seconds, katas=katas)

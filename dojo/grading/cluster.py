"""Grading on an existing Dask cluster.

Each machine of the cluster needs the dojo installed, with the same specs. Dask repeats the work of
a cluster worker that dies on another one.
"""

from __future__ import annotations

import atexit
import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dojo.catalogue import Kata, read_catalogue
from dojo.grading.results import Isolation, KataResult, State, SubmissionResult
from dojo.grading.sandbox.limits import Limits
from dojo.grading.scheduling import Grader
from dojo.grading.start_check import check_isolation
from dojo.grading.submissions import SubmittedFiles
from dojo.grading.worker_pool import GradingError, WorkerPool, worker_pool_for

CONNECT = 15  # seconds
RETRIES = 2


def fingerprint(katas: Sequence[Kata]) -> str:
    """A hash of the dojo's code and the katas' files, to compare two machines."""
    digest = hashlib.sha256()
    package = sorted(Path(__file__).parent.parent.rglob("*.py"))
    files = [f for k in katas for f in (k.spec_file, k.stub, k.stub.with_name("kata.toml"))]
    for file in [*package, *files]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def grade(
    address: str,
    katas: Sequence[Kata],
    limits: Limits,
    submissions: Iterable[SubmittedFiles],
    isolation: Isolation,
) -> Iterator[tuple[SubmittedFiles, SubmissionResult]]:
    """Grade on the cluster whose scheduler is at `address`, in the order of completion.

    `isolation` is updated with that of the cluster. Raises `GradingError`.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise GradingError(
            "--dask needs the package distributed: pip install -e '.[cluster]'"
        ) from None
    try:
        client = Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise GradingError(f"no Dask scheduler answers at {address}: {error}") from None
    with client:
        known = fingerprint(katas)
        names = [kata.name for kata in katas]
        waiting = iter(submissions)
        done = as_completed([], loop=client.loop)
        under_way: dict[str, SubmittedFiles] = {}

        def submit() -> bool:
            submission = next(waiting, None)
            if submission is None:
                return False
            key = f"dojo-{hashlib.sha256(submission.name.encode()).hexdigest()[:24]}"
            under_way[key] = submission
            task = (known, names, limits, submission)
            future = client.submit(grade_here, *task, key=key, retries=RETRIES, pure=False)
            done.add(future)
            return True

        most = 2 * sum(client.nthreads().values()) or 2
        while len(under_way) < most and submit():
            pass
        seen: list[Isolation] = []
        for future in done:
            submission = under_way.pop(future.key)
            result, there = _result(future, submission, katas)
            if there is not None and there not in seen:
                seen.append(there)
                merged = merge_isolation(seen)
                isolation.in_force, isolation.missing = merged.in_force, merged.missing
            future.release()
            yield submission, result
            submit()


def _result(
    future: Any, submission: SubmittedFiles, katas: Sequence[Kata]
) -> tuple[SubmissionResult, Isolation | None]:
    try:
        result, isolation = future.result()
    except Exception as error:  # noqa: BLE001 - the remote code may raise anything
        cause = f"the cluster could not grade it: {type(error).__name__}: {error}"[:300]
        return ungradable(submission, katas, cause), None
    return SubmissionResult.model_validate(result), Isolation.model_validate(isolation)


def ungradable(submission: SubmittedFiles, katas: Sequence[Kata], cause: str) -> SubmissionResult:
    """The result of a submission that the grader failed on."""
    return SubmissionResult(
        name=submission.name,
        katas=[
            KataResult(
                kata=kata.name,
                title=kata.title,
                state=State.UNGRADABLE,
                light="grey",
                file=submission.files[kata.name].path,
                cause=cause,
                specs=[],
            )
            for kata in katas
        ],
    )


def merge_isolation(parts: Sequence[Isolation]) -> Isolation:
    """The isolation that was in force everywhere, and all that was missing anywhere."""
    missing = dict.fromkeys(entry for part in parts for entry in part.missing)
    in_force = [entry for entry in parts[0].in_force if all(entry in p.in_force for p in parts)]
    return Isolation(in_force=in_force, missing=list(missing))


# ----- on a worker of the cluster

_lock = threading.Lock()
_pools: dict[tuple[str, ...], WorkerPool] = {}


def grade_here(
    expected: str, names: list[str], limits: Limits, submission: SubmittedFiles
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Grade one submission on this machine; the result and the isolation, as plain data.

    Raises `GradingError` where `fingerprint` is not the `expected` one.
    """
    root = Path(__file__).resolve().parent.parent.parent
    known = read_catalogue(root)
    katas = [known[name] for name in names if name in known]
    if len(katas) < len(names) or fingerprint(katas) != expected:
        raise GradingError("a worker of the cluster has another version of the dojo or its specs")
    worker_pool = _pool(root, katas, limits)
    for _, result in Grader(worker_pool, katas, limits, jobs=1).grade([submission]):
        return result.model_dump(mode="json"), worker_pool.isolation.model_dump(mode="json")
    raise GradingError("there was nothing to grade")


def _pool(root: Path, katas: Sequence[Kata], limits: Limits) -> WorkerPool:
    """The worker pool of this process, which is closed when the process ends."""
    key = tuple(kata.name for kata in katas)
    with _lock:
        if key not in _pools:
            worker_pool = worker_pool_for(root, katas, limits).__enter__()
            atexit.register(worker_pool.__exit__, None, None, None)
            check_isolation(worker_pool, katas, limits)
            _pools[key] = worker_pool
        return _pools[key]

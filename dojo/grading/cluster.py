"""Grading on a Dask cluster: submissions are handed to an existing scheduler.

Each machine of the cluster needs the dojo installed, with the same specs. Dask gives the work of a
worker that dies to another.
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
from dojo.grading.sandbox.policy import Limits
from dojo.grading.submissions import HandedIn
from dojo.grading.verdict import Grader
from dojo.grading.worker_pool import GradingError, WorkerPool, worker_pool_for

CONNECT = 15
RETRIES = 2


def fingerprint(root: Path, katas: Sequence[Kata]) -> str:
    """What tells the dojo on one machine from another one: its code, the specs and the stubs."""
    seal = hashlib.sha256()
    package = sorted(Path(__file__).parent.parent.rglob("*.py"))
    for file in [*package, *(file for kata in katas for file in (kata.spec_file, kata.stub))]:
        seal.update(file.name.encode() + b"\0" + file.read_bytes().replace(b"\r\n", b"\n"))
    return seal.hexdigest()


def grade(
    address: str,
    root: Path,
    katas: Sequence[Kata],
    limits: Limits,
    handed_in: Iterable[HandedIn],
    isolation: Isolation,
) -> Iterator[tuple[HandedIn, SubmissionResult]]:
    """Grade on the cluster whose scheduler is at `address`; in the order in which it gets done.

    What kept the answers apart there is added to `isolation`. Raises `GradingError`.
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
        seal = fingerprint(root, katas)
        names = [kata.name for kata in katas]
        waiting = iter(handed_in)
        done = as_completed([], loop=client.loop)
        under_way: dict[str, HandedIn] = {}

        def submit() -> bool:
            submission = next(waiting, None)
            if submission is None:
                return False
            key = f"dojo-{hashlib.sha256(submission.name.encode()).hexdigest()[:24]}"
            under_way[key] = submission
            task = (seal, names, limits, submission)
            future = client.submit(grade_here, *task, key=key, retries=RETRIES, pure=False)
            done.add(future)
            return True

        room = 2 * sum(client.nthreads().values()) or 2
        while len(under_way) < room and submit():
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
    future: Any, submission: HandedIn, katas: Sequence[Kata]
) -> tuple[SubmissionResult, Isolation | None]:
    try:
        result, isolation = future.result()
    except Exception as error:
        cause = f"the cluster could not grade it: {type(error).__name__}: {error}"[:300]
        return ungradable(submission, katas, cause), None
    return SubmissionResult.model_validate(result), Isolation.model_validate(isolation)


def ungradable(submission: HandedIn, katas: Sequence[Kata], cause: str) -> SubmissionResult:
    """The result of a submission that nothing was found out about."""
    return SubmissionResult(
        name=submission.name,
        katas=[
            KataResult(
                kata=kata.name,
                title=kata.title,
                state=State.UNGRADABLE,
                light="grey",
                file=submission.answers[kata.name].file,
                cause=cause,
                specs=[],
            )
            for kata in katas
        ],
    )


def merge_isolation(parts: Sequence[Isolation]) -> Isolation:
    """What was in force everywhere, and what was missing anywhere."""
    missing = dict.fromkeys(entry for part in parts for entry in part.missing)
    in_force = [entry for entry in parts[0].in_force if all(entry in p.in_force for p in parts)]
    return Isolation(in_force=in_force, missing=list(missing))


# ----- on a worker of the cluster

_lock = threading.Lock()
_wardens: dict[tuple[str, ...], WorkerPool] = {}


def grade_here(
    seal: str, names: list[str], limits: Limits, submission: HandedIn
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Grade one submission on this machine; the result and the isolation, as plain data.

    Raises `GradingError` where this machine has other specs than the one that asks.
    """
    root = Path(__file__).resolve().parent.parent.parent
    known = read_catalogue(root)
    katas = [known[name] for name in names if name in known]
    if len(katas) < len(names) or fingerprint(root, katas) != seal:
        raise GradingError("a worker of the cluster has another version of the dojo or its specs")
    worker_pool = _warden(root, katas, limits)
    for _, result in Grader(worker_pool, katas, limits, jobs=1).grade([submission]):
        return result.model_dump(mode="json"), worker_pool.isolation.model_dump(mode="json")
    raise GradingError("there was nothing to grade")


def _warden(root: Path, katas: Sequence[Kata], limits: Limits) -> WorkerPool:
    """The warm worker of this process, which lives as long as it does."""
    key = tuple(kata.name for kata in katas)
    with _lock:
        if key not in _wardens:
            worker_pool = worker_pool_for(root, katas, limits).__enter__()
            atexit.register(worker_pool.__exit__, None, None, None)
            _wardens[key] = worker_pool
        return _wardens[key]

"""Trials of solutions, run ahead on all cores while the tests ask for them one by one."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dojo.catalogue import Kata, read_catalogue
from dojo.grading.sandbox.limits import Limits
from dojo.grading.worker_pool import WorkerPool, worker_pool_for
from dojo.mistakes import read_mistake
from selfcheck.trial import Trial, run_trial
from selfcheck.trial_server import TrialPool

pytest_plugins = ["pytester", "selfcheck.projects", "selfcheck.diffs"]
ROOT = Path(__file__).resolve().parent.parent
THIRD = 3

# A shell starts what it runs in the background with Ctrl-C ignored, and so would all that the tests
# start and then interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def worker_pool() -> Iterator[WorkerPool]:
    """A warm worker that knows the specs of all katas."""
    with worker_pool_for(ROOT, list(read_catalogue(ROOT).values()), Limits()) as worker_pool:
        yield worker_pool


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for what takes longer."""
    parser.addoption(
        "--every-case",
        action="store_true",
        help="try every right solution with every case of every spec; by default the reference "
        "is, and each other one with a third of the specs and one case of each, in turn",
    )


def some_cases(specs: Sequence[tuple[str, str]], file: Path, every: bool) -> tuple[str, ...]:
    """The specs that a right solution is tried with: a third, one case of each, by its name."""
    names = [spec.partition("::")[2] for spec, _ in specs]
    if every:
        return tuple(names)
    cases: dict[str, list[str]] = {}
    for name in names:
        cases.setdefault(name.partition("[")[0], []).append(name)
    lot = zlib.crc32(file.stem.encode())
    return tuple(
        found[(lot // THIRD + n) % len(found)]
        for n, found in enumerate(cases.values())
        if (lot + n) % THIRD == 0
    )


@pytest.fixture(scope="session")
def trial_pool() -> Iterator[WorkerPool]:
    """A warm process that knows all specs, and forks for each trial."""
    katas = list(read_catalogue(ROOT).values())
    kind = TrialPool(ROOT, katas) if hasattr(os, "fork") else worker_pool_for(ROOT, katas, Limits())
    with kind as trial_pool:
        yield trial_pool


@pytest.fixture(scope="session")
def trial_of(
    request: pytest.FixtureRequest, trial_pool: WorkerPool
) -> Iterator[Callable[..., Trial]]:
    """Try a solution against the specs of its kata; once, whoever asks how often.

    All are begun at once, more of them than there are cores: by the time that a test asks, most are
    done.
    """
    pool = ThreadPoolExecutor((os.cpu_count() or 1) + 1)
    every = request.config.getoption("--every-case")
    trials: dict[Path, Future[Trial]] = {}

    def begin(kata: Kata, file: Path, specs: tuple[str, ...] = ()) -> Future[Trial]:
        if file not in trials:
            trials[file] = pool.submit(run_trial, trial_pool, kata, file, specs)
        return trials[file]

    for item in request.session.items:
        if not isinstance(item, pytest.Function):
            continue
        params: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
        if item.originalname == "test_a_right_solution_is_green":
            kata, file = params["kata"], params["file"]
            begin(kata, file, some_cases(trial_pool.specs[kata.name], file, every))
        elif item.originalname == "test_a_mistake_is_red_where_it_says":
            begin(params["kata"], params["file"], read_mistake(params["file"]).caught_by)
    yield lambda kata, file, specs=(): begin(kata, file, specs).result()
    pool.shutdown(cancel_futures=True)

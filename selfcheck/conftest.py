"""Trials of answers, run ahead on all cores while the tests ask for them one by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from dojo.catalogue import Kata
from dojo.trial import Trial, run_trial

pytest_plugins = ["pytester", "projects"]


@pytest.fixture(scope="session")
def trial_of(request: pytest.FixtureRequest) -> Iterator[Callable[[Kata, Path], Trial]]:
    """Try an answer file against the specs of its kata; once, whoever asks how often."""
    pool = ThreadPoolExecutor(os.cpu_count())
    trials: dict[Path, Future[Trial]] = {}

    def trial_of(kata: Kata, file: Path) -> Trial:
        if file not in trials:
            trials[file] = pool.submit(run_trial, kata, file)
        return trials[file].result()

    for item in request.session.items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if {"kata", "file"} <= set(params) and params["file"] not in trials:
            trials[params["file"]] = pool.submit(run_trial, params["kata"], params["file"])
    yield trial_of
    pool.shutdown(cancel_futures=True)

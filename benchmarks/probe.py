"""A pytest plugin that notes each spec's requests, and the third-party modules of a run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

INTO = "DOJO_BENCHMARK_PROBE"

_before = set(sys.modules)
_cases: list[tuple[str, int]] = []


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Note the kata of a spec, and how many requests it has sent."""
    from dojo.plugin.fixtures import ENVIRONMENT, KATA

    environment = item.stash.get(ENVIRONMENT, None)
    client = environment.client if environment is not None else None
    _cases.append((item.stash[KATA].name, len(client.exchanges) if client is not None else 0))


def pytest_unconfigure() -> None:
    """Write the notes."""
    noted = {"cases": sorted(_cases), "modules": _third_party()}
    Path(os.environ[INTO]).write_text(json.dumps(noted), encoding="utf-8")


def _third_party() -> list[str]:
    """The modules from elsewhere that were imported since pytest began, in their order."""
    own = {*sys.stdlib_module_names, "dojo", "katas", "tests", "benchmarks", "conftest"}
    specs = {name: getattr(module, "__spec__", None) for name, module in sys.modules.items()}
    return [
        name
        for name, spec in specs.items()
        if name not in _before
        and name.partition(".")[0] not in own
        and not name.startswith(("test_", "_sysconfigdata"))
        and spec is not None
        and spec.name == name
        and spec.origin
    ]

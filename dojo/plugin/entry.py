"""Advice for a `--solutions PATH` that hides the project from pytest.

pytest loads this module in each run of this environment. It looks for the project before it knows
the project's options: `--solutions PATH` is to it an option that it does not know, and a path to
look at. A PATH elsewhere takes it away from the project, and its plugin is never loaded. With `=`
it is one word.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

OPTIONS = ("--solutions", "--answers")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Refuse `--solutions PATH` in two words where PATH leads away from the project."""
    here = early_config.invocation_params.dir
    project = next((p for p in (here, *here.parents) if _is_a_dojo(p)), None)
    if project is None or early_config.rootpath == project:
        return
    for option, path in itertools.pairwise(args):
        if option in OPTIONS:
            raise pytest.UsageError(
                f"write {option}={path} as one word, with `=`: "
                f"pytest looks for the project beside {path} otherwise"
            )


def _is_a_dojo(folder: Path) -> bool:
    """Whether this is a checkout with katas in it."""
    return (folder / "conftest.py").is_file() and any(folder.glob("katas/k*/kata.toml"))

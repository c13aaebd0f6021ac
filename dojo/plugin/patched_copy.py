"""The module that a mistake's diff makes, in a temporary folder for as long as pytest runs."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dojo import mistakes
from dojo.solutions import Solutions

_KEY = "dojo_patched_copy"


class _Share:
    """A plugin that gives the workers of pytest-xdist the one copy.

    Paths in their reports are then the same.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[_KEY] = str(self.file)


def in_place(solutions: Solutions, config: pytest.Config) -> Solutions:
    """The solutions with a patched module in the place of a `.diff`; others stay as they are.

    The module is called like the mistake. Raises `dojo.mistakes.MistakeError`.
    """
    kata, diff = solutions.kata, solutions.single
    if kata is None or diff is None or diff.suffix != mistakes.SUFFIX:
        return solutions
    shared = getattr(config, "workerinput", {}).get(_KEY)
    if shared is not None:
        return replace(solutions, single=Path(shared), diff=diff)
    text = mistakes.patched(diff, kata.solutions)
    folder = tempfile.TemporaryDirectory(prefix="dojo-mistake-")
    config.add_cleanup(folder.cleanup)
    file = Path(folder.name).resolve() / kata.name / mistakes.FOLDER / f"{diff.stem}.py"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8", newline="\n")
    config.pluginmanager.register(_Share(file), "dojo-patched-copy")
    return replace(solutions, single=file, diff=diff)

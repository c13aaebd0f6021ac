"""What is done at the end of a run of the learner's own katas, by pytest and by `dojo watch`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dojo import progress
from dojo.progress import Run
from dojo.session import after_run

Listener = Callable[[Path, Sequence[Run]], object]

# Each is called with the folder of the project, and a run for each kata of which a spec ran.
LISTENERS: list[Listener] = [progress.append, after_run.run_ended]


def run_ended(root: Path, runs: Sequence[Run]) -> None:
    """Call the listeners; one that fails is named on stderr, and does not stop the others."""
    for listener in LISTENERS:
        try:
            listener(root, runs)
        except Exception as error:  # noqa: BLE001
            name = getattr(listener, "__module__", "a listener")
            print(f"dojo: {name} failed: {type(error).__name__}: {error}", file=sys.stderr)

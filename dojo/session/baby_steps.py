"""Baby steps in a checkout: one more green spec in time, or back to the last file that had it.

A step begins at a run in which one more spec was green than in any before it. The file as it was
then is kept under `.dojo/steps/`. The first run after the time is over that is not one spec further
puts that file back; what is lost by it goes to `.dojo/backups/`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from dojo import notes
from dojo.catalogue import Kata, read_catalogue
from dojo.commands import backups
from dojo.commands.checkout import shown
from dojo.progress import Run, state_folder
from dojo.session.agenda import MINUTE

FOLDER = "steps"


@dataclass(frozen=True)
class Step:
    """The step at hand: since when, and how many specs were green at its beginning."""

    began: float
    passed: int


def after_run(root: Path, runs: Sequence[Run], minutes: float, now: float) -> set[str]:
    """Note steps that were made, and go back where one was not made in time.

    Runs of some of the specs do not count. Gives the names of the katas whose file was put back.
    Raises `OSError`.
    """
    katas = read_catalogue(root)
    went_back = set()
    for run in runs:
        kata = katas.get(run.kata)
        if kata is None or not run.whole or run.light == "grey":
            continue
        if _is_late(kata, run, minutes, now):
            went_back.add(run.kata)
    return went_back


def _is_late(kata: Kata, run: Run, minutes: float, now: float) -> bool:
    step, content = _read(kata), backups.content_of(kata)
    if content is None:
        return False
    kept = _file(kata, ".py")
    if step is None or not kept.exists() or run.passed > step.passed or run.done:
        _keep(kata, content, Step(now, run.passed))
        return False
    if now - step.began <= minutes * MINUTE:
        return False
    last = kept.read_bytes()
    _write(kata, Step(now, step.passed))
    if content == last:
        return False
    backup = backups.replace(kata, last)
    _tell(kata, step, run, minutes, backup)
    return True


def _tell(kata: Kata, step: Step, run: Run, minutes: float, backup: Path | None) -> None:
    """Say on stderr what was done, and where the lost work is."""
    at = datetime.fromtimestamp(step.began).strftime("%H:%M")
    lines = [
        f"Baby steps: {minutes:g} minutes are over, and no spec more is green.",
        f"{shown(kata.stub)} is again as it was at {at}, with {step.passed} of {run.total} green.",
    ]
    if backup is not None:
        lines += [
            f"What you had is {shown(backup)}; `dojo restore {kata.number}` brings it back.",
            "Try it with a smaller step.",
        ]
    print("\n".join(["", *lines]), file=sys.stderr)


def _file(kata: Kata, ending: str) -> Path:
    return state_folder(kata.root) / FOLDER / f"{kata.name}{ending}"


def _read(kata: Kata) -> Step | None:
    try:
        return Step(**notes.read(_file(kata, ".json")))
    except (OSError, TypeError):
        return None


def _keep(kata: Kata, content: bytes, step: Step) -> None:
    file = _file(kata, ".py")
    file.parent.mkdir(exist_ok=True)
    new = file.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, file)
    _write(kata, step)


def _write(kata: Kata, step: Step) -> None:
    notes.write(_file(kata, ".json"), asdict(step))


def forget(root: Path) -> None:
    """Begin anew: the steps of another session mean nothing in this one."""
    for file in (state_folder(root) / FOLDER).glob("*.json"):
        file.unlink(missing_ok=True)

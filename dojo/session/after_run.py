"""What a checkout that has joined a session does after each run: it hands its lights on.

Nothing here waits for the network: a process of its own sends the lights, and may take its time.
"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dojo import notes
from dojo.progress import FOLDER, Run, is_kept
from dojo.session import joined

TOOL = Path(__file__).resolve().parents[2]
LAST = "last_lights.json"
_senders: list[subprocess.Popen[bytes]] = []


def run_ended(root: Path, runs: Sequence[Run]) -> None:
    """Keep the lights of a run for the session, and have them sent; nothing where none is joined.

    Raises `OSError` where they cannot be kept.
    """
    if not (root / FOLDER / joined.FILE).exists() or not is_kept() or joined.read(root) is None:
        return
    went_back = _baby_steps(root, runs)
    predicted = joined.take_prediction(root)
    run = uuid.uuid4().hex
    lights = [
        {
            "id": run,
            "kata": one.kata,
            "light": light_of(one),
            "passed": one.passed,
            "total": one.total,
            "seconds": one.seconds,
            "went_back": one.kata in went_back,
        }
        for one in worth_sending(root, runs)
    ]
    if lights and predicted:
        lights[-1]["predicted"] = predicted
    joined.put(root, lights, time.time())
    start_sender(root)


def light_of(run: Run) -> str:
    """The light to send: `part` where all that ran is green, and not all ran."""
    return "part" if run.light == "green" and not run.whole else run.light


def worth_sending(root: Path, runs: Sequence[Run]) -> list[Run]:
    """The kata at hand last, before it others whose light has changed.

    The kata at hand is the one whose file was changed last, of those that are begun.
    """
    begun = [run for run in runs if run.light != "grey"]
    if not begun:
        return list(runs[:1])
    at_hand = max(begun, key=lambda run: _changed(root, run))
    file = root / FOLDER / LAST
    before = notes.read(file)
    now = {run.kata: [light_of(run), run.passed, run.total] for run in begun}
    notes.write(file, {**before, **now})
    changed = [r for r in begun if r is not at_hand and before.get(r.kata) != now[r.kata]]
    return [*changed, at_hand]


def _changed(root: Path, run: Run) -> float:
    try:
        return (root / "katas" / run.kata / "app.py").stat().st_mtime
    except OSError:
        return 0.0


def _baby_steps(root: Path, runs: Sequence[Run]) -> set[str]:
    minutes = joined.rituals(root).baby_steps
    if not minutes:
        return set()
    from dojo.session import baby_steps

    return baby_steps.after_run(root, runs, minutes, time.time())


def start_sender(root: Path) -> None:
    """Start a process that sends what waits, and do not wait for it."""
    _senders[:] = [sender for sender in _senders if sender.poll() is None]
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {
            "creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        }
    quiet = subprocess.DEVNULL
    _senders.append(
        subprocess.Popen(
            [sys.executable, "-m", "dojo.session.sender", str(root.resolve())],
            cwd=TOOL,
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            **options,
        )
    )

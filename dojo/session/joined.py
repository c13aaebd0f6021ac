"""That this checkout has joined a session, and what waits to be sent there.

All of it lies under `.dojo/`. A light is a file of its own, so that runs and senders need no lock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dojo import notes
from dojo.progress import FOLDER, state_folder

FILE, RITUALS, OUTBOX, PREDICTION = "joined.json", "rituals.json", "outbox", "prediction.json"
MOST_WAITING = 5000


@dataclass(frozen=True)
class Joined:
    """The session that a checkout has joined: `address` is a URL, `token` is the team's own."""

    address: str
    team: str
    token: str
    key: str


@dataclass(frozen=True)
class Rituals:
    """The rituals of the session; 0 minutes: no baby steps."""

    baby_steps: float = 0.0
    one_spec: bool = False


def read(root: Path) -> Joined | None:
    """The session that a checkout has joined; None where there is none."""
    try:
        return Joined(**notes.read(root / FOLDER / FILE))
    except TypeError:
        return None


def rituals(root: Path) -> Rituals:
    """The rituals as the server last said them; none where nothing is joined."""
    if not (root / FOLDER / FILE).exists():
        return Rituals()
    try:
        said = Rituals(**notes.read(root / FOLDER / RITUALS))
        return Rituals(float(said.baby_steps), bool(said.one_spec))
    except (TypeError, ValueError):
        return Rituals()


def write(root: Path, joined: Joined) -> None:
    """Note that a checkout has joined. Raises `OSError`."""
    notes.write(state_folder(root) / FILE, asdict(joined), private=True)


def write_rituals(root: Path, said: Rituals) -> None:
    """Note the rituals, where they are others than before. Raises `OSError`."""
    if said != rituals(root):
        notes.write(state_folder(root) / RITUALS, asdict(said))


def forget(root: Path) -> int:
    """Note that a checkout has left. Gives the number of lights that were not sent."""
    left = len(waiting(root))
    for name in (FILE, RITUALS, PREDICTION):
        (root / FOLDER / name).unlink(missing_ok=True)
    shutil.rmtree(root / FOLDER / OUTBOX, ignore_errors=True)
    return left


# ----- the outbox


def put(root: Path, lights: Sequence[dict[str, Any]], ended: float) -> None:
    """Keep the lights of a run until they are sent. Raises `OSError`."""
    folder = state_folder(root) / OUTBOX
    folder.mkdir(exist_ok=True)
    # Names sort by time, and no two are equal.
    file = folder / f"{int(ended * 1_000_000):018}-{uuid.uuid4().hex}.json"
    notes.write(file, {"ended": ended, "lights": list(lights)})


def waiting(root: Path) -> list[Path]:
    """The files that are still to be sent, the oldest first; of too many, the newest."""
    try:
        names = sorted(os.listdir(root / FOLDER / OUTBOX))
    except OSError:
        return []
    files = [root / FOLDER / OUTBOX / name for name in names if name.endswith(".json")]
    for old in files[:-MOST_WAITING]:
        with contextlib.suppress(OSError):
            old.unlink()
    return files[-MOST_WAITING:]


def contents(file: Path, now: float) -> list[dict[str, Any]]:
    """The lights in a file, with how long ago they were; none where it is damaged."""
    noted = notes.read(file)
    try:
        ago = max(0.0, now - float(noted["ended"]))
        return [{**light, "ago": ago} for light in noted["lights"]]
    except (KeyError, TypeError, ValueError):
        return []


# ----- a prediction


def predict(root: Path, light: str) -> None:
    """Note what the team expects of its next run. Raises `OSError`."""
    notes.write(state_folder(root) / PREDICTION, {"light": light})


def take_prediction(root: Path) -> str | None:
    """The prediction for this run, which is over with it."""
    file = root / FOLDER / PREDICTION
    said = notes.read(file).get("light")
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
    return said if isinstance(said, str) else None

"""Sends the lights that wait to the session, in a process of its own: `python -m` with a folder.

It takes only what the standard library has, because it is started after each run.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from dojo.progress import FOLDER
from dojo.session import joined

TIMEOUT = 5.0
AT_ONCE = 50  # files in one message: a run has a light or two
PAUSES = (1, 2, 4, 8, 15, 30, 30, 30, 60, 60, 60)
SIGN = "sending"  # a sender that tries again touches this file each second
Outcome = Literal["sent", "later", "refused"]

# A proxy knows nothing of the machines in a room.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main(root: Path) -> None:
    """Send what waits; where the server cannot be reached, try again for some minutes.

    One process tries again, others leave it to that one.
    """
    if deliver(root) != "later" or _another_tries(root):
        return
    for pause in PAUSES:
        for _ in range(pause):
            if not (root / FOLDER / joined.FILE).exists():
                return
            _touch(root)
            time.sleep(1)
        if deliver(root) != "later":
            return


def deliver(root: Path) -> Outcome:
    """Send all that waits now; what the server has stored is removed here."""
    session = joined.read(root)
    if session is None:
        return "refused"
    for files in _batches(joined.waiting(root)):
        outcome = _send(root, session, files)
        if outcome == "malformed":
            # One that no server takes must not stop those behind it.
            outcomes = [_send(root, session, [file]) for file in files]
            for file, what in zip(files, outcomes, strict=True):
                if what == "malformed":
                    _remove(file)
            outcome = "later" if "later" in outcomes else "sent"
        if outcome != "sent":
            return outcome
    return "sent"


def _batches(files: list[Path]) -> Iterator[list[Path]]:
    for start in range(0, len(files), AT_ONCE):
        yield files[start : start + AT_ONCE]


def _send(
    root: Path, session: joined.Joined, files: list[Path]
) -> Literal["sent", "later", "refused", "malformed"]:
    now = time.time()
    lights = [light for file in files for light in joined.contents(file, now)]
    if lights:
        try:
            said = post(
                f"{session.address}/api/lights", {"lights": lights}, f"Bearer {session.token}"
            )
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 422 or error.code == 413:
                    return "malformed"
                return "later" if error.code in (429, 503) or error.code >= 500 else "refused"
        except (OSError, ValueError):
            return "later"
        _note_rituals(root, said)
        if not said.get("stored"):
            return "later"
    for file in files:
        _remove(file)
    return "sent"


def post(url: str, content: object, authorization: str = "") -> dict[str, Any]:
    """Send JSON, and give the JSON that comes back. Raises `OSError`, `ValueError`."""
    headers = {"Content-Type": "application/json", "Authorization": authorization}
    request = urllib.request.Request(url, json.dumps(content).encode(), headers)
    with _opener.open(request, timeout=TIMEOUT) as response:
        said = json.loads(response.read(1 << 20))
    if not isinstance(said, dict):
        raise ValueError("the server has said something else than a session says")
    return said


def _note_rituals(root: Path, said: dict[str, Any]) -> None:
    with contextlib.suppress(OSError, TypeError, ValueError):
        joined.write_rituals(root, joined.Rituals(**said["rituals"]))


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)


def _another_tries(root: Path) -> bool:
    try:
        return time.time() - (root / FOLDER / SIGN).stat().st_mtime < 3
    except OSError:
        return False


def _touch(root: Path) -> None:
    with contextlib.suppress(OSError):
        (root / FOLDER / SIGN).touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

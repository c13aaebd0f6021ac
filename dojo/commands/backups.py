"""Files of the learner are put in another's place only when a copy of them is safe on the disk.

A copy is first whole, under another name, and then gets its own; so does the file that is put in
the place. Whatever stops a command in between leaves the learner's file as it was.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from dojo.catalogue import Kata
from dojo.commands.checkout import CommandError, shown
from dojo.progress import state_folder

FOLDER = "backups"
TRIES = 5


def stub_of(kata: Kata) -> bytes:
    """The stub as a learner gets it. Raises `CommandError`."""
    try:
        return kata.original.read_bytes()
    except FileNotFoundError:
        raise CommandError(
            f"the stub of {kata.number} is not kept: {shown(kata.original)} is missing"
        ) from None


def content_of(kata: Kata) -> bytes | None:
    """What the learner has written; None where there is no file."""
    try:
        return kata.stub.read_bytes()
    except FileNotFoundError:
        return None


def kept(kata: Kata) -> list[Path]:
    """The backups of a kata, the newest first."""
    folder = kata.root / ".dojo" / FOLDER
    return sorted(folder.glob(f"{kata.name}-*.py"), reverse=True)


def replace(kata: Kata, content: bytes) -> Path | None:
    """Put `content` in the place of the learner's file.

    Gives the backup of what was there; None where that was the stub, or nothing. Raises `OSError`,
    and the learner's file is then as it was; `CommandError` where it changes again and again.
    """
    for _ in range(TRIES):
        before = content_of(kata)
        backup = None
        if before is not None and before != stub_of(kata):
            backup = _back_up(kata, before)
        place = Path(os.path.realpath(kata.stub))  # the learner may keep it elsewhere
        with _written(place, content, like=place) as whole:
            if content_of(kata) != before:  # an editor has saved it meanwhile
                continue
            os.replace(whole, place)
            _sync_folder(place.parent)
            return backup
    raise CommandError(f"{shown(kata.stub)} keeps changing: nothing was done")


def _back_up(kata: Kata, content: bytes) -> Path:
    """Write a backup to the disk. Raises `OSError`."""
    folder = state_folder(kata.root) / FOLDER
    folder.mkdir(exist_ok=True)
    with _written(folder / f"{kata.name}.py", content) as whole:
        while True:
            # To the microsecond, in names that sort by time.
            name = f"{kata.name}-{datetime.now():%Y%m%d-%H%M%S-%f}.py"
            if not (folder / name).exists():
                break
        os.rename(whole, folder / name)
    _sync_folder(folder)
    return folder / name


@contextlib.contextmanager
def _written(place: Path, content: bytes, like: Path | None = None) -> Iterator[Path]:
    """A file beside `place` that is on the disk with this content; removed unless it is moved.

    Its permissions are those of the file `like`.
    """
    whole = place.with_name(f".{place.name}.{os.getpid()}.new")
    try:
        with open(whole, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if like is not None and like.exists():
            shutil.copymode(like, whole)
        yield whole
    finally:
        with contextlib.suppress(OSError):
            whole.unlink()


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can be asked for that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

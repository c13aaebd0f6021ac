"""Remove what a solution has left on the disk."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path


def remove(folder: Path) -> None:
    """Remove a folder, however deeply its folders are nested."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        _flatten(folder)
        shutil.rmtree(folder, ignore_errors=True)


def empty(folder: Path) -> None:
    """Remove all that is in a folder."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                remove(Path(entry.path))
            else:
                os.unlink(entry.path)


def _flatten(folder: Path) -> None:
    """Lift each folder below `folder` up into it, level by level, until none lies in another."""
    with contextlib.suppress(OSError):
        while below := [
            entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)
        ]:
            for entry in below:
                for inner in os.scandir(entry.path):
                    if inner.is_dir(follow_symlinks=False):
                        os.rename(inner.path, folder / secrets.token_hex(8))
                    else:
                        os.unlink(inner.path)
                os.rmdir(entry.path)

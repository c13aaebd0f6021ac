"""Paths as the observer of files sees them: it must not observe its own questions."""

from __future__ import annotations

import os
import stat
import threading
from typing import Any

_real_stat = os.stat


class _Busy(threading.local):
    """Whether this thread asks about a path for the observer itself."""

    asking = False


busy = _Busy()


def full_path(path: object) -> str | None:
    """A path without links in it; None for what is no path."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None
    busy.asking = True
    try:
        return os.path.realpath(os.path.join(os.getcwd(), os.fsdecode(path)))
    except ValueError:  # a null character
        return None
    finally:
        busy.asking = False


def is_there(path: Any) -> bool:
    """Whether there is something at a path."""
    try:
        return bool(_real_stat(path))
    except (OSError, ValueError):
        return False


def is_folder(path: Any) -> bool:
    """Whether there is a folder at a path."""
    return is_there(path) and stat.S_ISDIR(_real_stat(path).st_mode)

"""Whether somebody debugs a solution; a debugger that waits for its user is no reason to give up,
and what it reads for itself is not the solution's doing."""

from __future__ import annotations

import sys
from types import FrameType

DEBUGGERS = ("bdb", "pdb", "ipdb", "IPython", "pydevd", "_pydevd_bundle", "debugpy")

_entered = False


def enter() -> None:
    """Say that a debugger has been entered, as pytest tells its plugins."""
    global _entered
    _entered = True


def active() -> bool:
    """Whether a debugger has been entered in this run, or traces the calling thread."""
    return _entered or _traces()


def waits() -> bool:
    """Whether a debugger waits for its user now, in any thread."""
    return any(_is_in(frame) for frame in sys._current_frames().values())


def reads() -> bool:
    """Whether it is a debugger that made the call now being made, on this thread."""
    return _is_in(sys._getframe(1))


def _is_in(frame: FrameType | None) -> bool:
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith("katas.k"):
            return False
        if name.partition(".")[0] in DEBUGGERS:
            return True
        frame = frame.f_back
    return False


def _traces() -> bool:
    try:
        from pytest_timeout import is_debugging  # type: ignore[import-untyped]
    except ImportError:
        return False
    return bool(is_debugging())

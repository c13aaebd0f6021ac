"""Whether a solution is being debugged.

A debugger that waits for its user is no reason to give up, and what it reads for itself is not the
solution's doing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType

from dojo.harness import frames

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
    return any(_is_in(frames.outward(frame)) for frame in frames.of_threads().values())


def reads() -> bool:
    """Whether it is a debugger that made the call now being made, on this thread."""
    return _is_in(frames.callers())


def _is_in(callers: Iterator[FrameType]) -> bool:
    """Whether a debugger's frame comes before any of the solution's."""
    for frame in callers:
        if frames.is_learners(frame):
            return False
        if frames.module_of(frame).partition(".")[0] in DEBUGGERS:
            return True
    return False


def _traces() -> bool:
    plugin = sys.modules.get("pytest_timeout")
    return plugin is not None and bool(plugin.is_debugging())

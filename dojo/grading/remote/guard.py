"""The solution's side: notes what is unusual in a solution, and refuses it where no sandbox does.

A solution can get past it: it is a hint for a person who reads the evidence, and it keeps mishaps
in the folder of a spec on machines that allow no namespaces. What the specs see does not rest on
it.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from sys import _getframe
from types import FrameType
from typing import Any

from dojo.grading.remote.telling import Teller
from dojo.harness.current import current_timeline
from dojo.harness.frames import is_learners
from dojo.observers.files import REFUSED

EVIDENCE = 40
FRAMES = 200
REFUSAL = "the grader does not permit this to a solution"
PROCESSES = "started a process"
SIGNALS = "sent a signal"
CTYPES = "used ctypes"
OBJECTS = "looked through all objects of the process"
EVENTS = {
    **dict.fromkeys(("gc.get_objects", "gc.get_referrers", "gc.get_referents"), OBJECTS),
    "sys._getframe": "looked at the frames of its callers",
    "sys._current_frames": "looked at the frames of all threads",
    "sys.settrace": "traced the interpreter",
    "sys.setprofile": "traced the interpreter",
    "sys.addaudithook": "added an audit hook",
    **dict.fromkeys(("os.fork", "os.forkpty", "os.exec", "os.posix_spawn"), PROCESSES),
    **dict.fromkeys(("os.spawn", "os.startfile", "os.system", "pty.spawn"), PROCESSES),
    "subprocess.Popen": PROCESSES,
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill"), SIGNALS),
    **dict.fromkeys(("ctypes.dlopen", "ctypes.dlsym", "ctypes.call_function"), CTYPES),
    **dict.fromkeys(("ctypes.string_at", "ctypes.wstring_at", "ctypes.cdata"), CTYPES),
}
NEAR = ("sys._getframe", "sys._current_frames")
FILES = {
    "open": "opened",
    **dict.fromkeys(("os.listdir", "os.scandir"), "listed"),
    "os.mkdir": "made",
    **dict.fromkeys(("os.remove", "os.rmdir", "shutil.rmtree"), "removed"),
    "os.rename": "renamed",
    **dict.fromkeys(("os.link", "os.symlink"), "linked"),
    **dict.fromkeys(("os.chmod", "os.chown", "os.truncate"), "changed"),
    "shutil.copyfile": "copied",
    "sqlite3.connect": "opened",
    REFUSED: "tried to write",
}
# What every program may write to; the last is memory of `multiprocessing`, nameless at once.
DEVICES = ("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/shm/pym-")
GRADERS = "imports a module of the grader"
PAST_THE_ENGINE = "used the database on the event loop's thread, past SQLAlchemy"


@dataclass
class Paths:
    """A solution works in `folder`, may read below `readable`, and is refused `hidden`.

    With `hidden`, writing elsewhere, signals and processes are refused too; inside namespaces it is
    empty.
    """

    folder: Path
    readable: tuple[Path, ...]
    hidden: tuple[Path, ...] = ()


def _below(path: str, folders: tuple[Path, ...]) -> int:
    """The length of the longest of `folders` that holds `path`; 0 where none does."""
    lengths = [len(f) for f in map(str, folders) if path == f or path.startswith(f + os.sep)]
    return max(lengths, default=0)


def _line_of(frame: FrameType | None, depth: int) -> int | None:
    while frame is not None and depth:
        if is_learners(frame):
            return frame.f_lineno
        frame, depth = frame.f_back, depth - 1
    return None


class Guard:
    """The audit hook of a solution's process."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._installed = False
        self._known: set[str] = set()
        self._busy = threading.local()

    def tell(self, teller: Teller) -> None:
        """Tell `teller` from now on; an audit hook cannot be removed again."""
        self._teller = teller
        if not self._installed:
            self._installed = True
            if self._paths.hidden:
                _refuse_programs()
            sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if (event not in EVENTS and event not in FILES and event != "import") or getattr(
            self._busy, "now", False
        ):
            return
        self._busy.now = True
        try:
            if event == "sqlite3.connect" and args[0] != ":memory:":
                self._check_connection(_getframe(1))
            if event in FILES:
                self._check_path(event, args)
                return
            if event == "import":
                self._check_import(str(args[0]))
                return
            caller = _getframe(1)
            depth = FRAMES
            if event in NEAR:
                depth = 4 if caller.f_globals.get("__name__") == "inspect" else 1
            line = _line_of(caller, depth)
            if line is not None:
                self._note(f"{EVENTS[event]} ({event})", line)
                if self._paths.hidden and EVENTS[event] in (PROCESSES, SIGNALS, CTYPES):
                    raise PermissionError(errno.EACCES, REFUSAL, event)
        finally:
            self._busy.now = False

    def _note(self, what: str, line: int, *, heavy: bool = False) -> None:
        entry = f"app.py:{line} {what}"
        if entry not in self._known and len(self._known) < EVIDENCE:
            self._known.add(entry)
            self._teller.tell("unusual", text=entry[:1_000], heavy=heavy)

    def _check_connection(self, caller: FrameType) -> None:
        """Note a connection that the solution itself makes where it keeps the loop busy."""
        timeline = current_timeline()
        line = _line_of(caller, 3)  # the observer's own frames may be between
        if line is not None and timeline is not None and timeline.under_way and timeline.on_loop():
            self._note(PAST_THE_ENGINE, line, heavy=True)

    def _check_import(self, name: str) -> None:
        """Note that a module of the grader is looked for."""
        line = _line_of(_getframe(2), FRAMES) if name.partition(".")[0] == "dojo" else None
        if line is not None:
            self._note(f"{GRADERS}: {name}", line, heavy=True)

    def _check_path(self, event: str, args: tuple[Any, ...]) -> None:
        path = args[0] if args else None
        if path is None or isinstance(path, int):
            return
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
        if event == "sqlite3.connect" and (name == ":memory:" or name.startswith("file:")):
            return
        whole = os.path.abspath(name)
        real = os.path.realpath(whole)
        folder, hidden = self._paths.folder, self._paths.hidden
        if _below(whole, (folder,)) and _below(real, (folder, folder.resolve())):
            return
        flags = args[2] if len(args) > 2 and isinstance(args[2], int) else 0
        writes = event not in ("os.listdir", "os.scandir") and (
            event != "open" or bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        )
        readable = self._paths.readable
        refused = bool(hidden) and (
            _below(real, hidden) > _below(real, readable)
            or (writes and not whole.startswith(DEVICES))
        )
        if not refused and (whole.startswith(DEVICES) or (not writes and _below(whole, readable))):
            return
        line = _line_of(_getframe(2), FRAMES)
        if line is not None:
            self._note(f"{FILES[event]} a path outside its folder: {name[:200]}", line)
        if refused:
            raise PermissionError(errno.EACCES, REFUSAL, name)


def _refuse_programs() -> None:
    """Replace the functions that start a program without an audit event."""

    def refuse(*_arguments: object, **_options: object) -> object:
        raise PermissionError(errno.EACCES, REFUSAL)

    for module, name in (("_posixsubprocess", "fork_exec"), ("subprocess", "_fork_exec")):
        if hasattr(sys.modules.get(module), name):
            setattr(sys.modules[module], name, refuse)

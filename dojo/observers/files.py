"""The working directory of a spec: what it holds, what happens in it, and what may not leave it.

An audit hook sees what opens, renames, removes and makes files and folders (`file_events`). What
has no audit event is seen by what takes the place of a function (`file_calls`).
"""

from __future__ import annotations

import builtins
import errno
import gc
import io
import locale
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dojo.harness.current import by_the_solution, current_exchange, current_timeline
from dojo.harness.frames import places_here
from dojo.harness.holds import Hold
from dojo.harness.timeline import MADE
from dojo.observers.paths import full_path, is_folder

_real_open = io.open
REFUSED = "dojo.refused"
STREAMS = ("/dev/stdout", "/dev/stderr")
OUTSIDE = "the dojo lets nothing be written outside the working directory"


class Disk:
    """The working directory of a spec, and what happens to its files."""

    __slots__ = (
        "_broken",
        "_holds",
        "_refused",
        "_root",
        "_temporary",
        "_without_space",
        "directory",
        "foreign",
    )

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.foreign = False
        self._broken: dict[str, int] = {}
        self._holds: list[_Held | _HeldStep] = []
        self._refused = b""
        self._without_space: list[str] = []
        self._root = os.path.realpath(directory)
        self._temporary: set[str] = set()

    def bytes(self, name: str) -> bytes:
        """The content of a file; empty where there is no file."""
        try:
            with _real_open(os.path.join(self.directory, name), "rb") as file:
                content: bytes = file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
            return b""
        return content

    def text(self, name: str) -> str:
        """A file as UTF-8 text, its line ends as newlines; what is not UTF-8 becomes `\ufffd`."""
        return self.bytes(name).decode("utf-8", "replace").replace("\r\n", "\n")

    def lines(self, name: str) -> list[str]:
        """The lines of a file, as `text` reads it."""
        text = self.text(name)
        return text.removesuffix("\n").split("\n") if text else []

    def put(self, name: str, text: str) -> None:
        """Have a file there from before, with this text in UTF-8."""
        path = os.path.join(self.directory, name)
        with _real_open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)

    def files(self) -> list[str]:
        """All files below the working directory with `/` in their names, sorted.

        The database is left out.
        """
        found = (p.relative_to(self.directory) for p in self.directory.rglob("*") if p.is_file())
        return sorted(p.as_posix() for p in found if not p.name.startswith("shop.db"))

    def open_files(self) -> list[str]:
        """The names of the files that are open now, sorted; a removed one may be open, too."""
        found = (x for x in gc.get_objects() if isinstance(x, io.FileIO) and not x.closed)
        names = (self.name_of(file.name) for file in found if not isinstance(file.name, int))
        return sorted(name for name in names if name is not None and not name.startswith("<"))

    def hold(self, name: str, *, step: int = 1) -> Hold:
        """Hold the first exchange that is about to write the file `name`.

        It opens it for writing, or puts another file or a folder in that place. With `step=2` it is
        one that opens it a second time, or hands the system a second piece of text. The name `*` is
        any file.
        """
        hold = Hold(f"the writing of {name}")
        self._holds.append(_Held(name, step, hold))
        return hold

    def hold_step(self) -> Hold:
        """Hold the next exchange that is about to change a file or a folder after its response.

        It opens a file for writing, hands the system a piece of it, makes or moves something.
        """
        hold = Hold("a step on the disk")
        self._holds.append(_HeldStep(hold))
        return hold

    def _stop(self, how: str, name: str) -> None:
        state = current_exchange()
        for held in list(self._holds):  # the spec may add some while it holds one
            held.come(how, name, state.number if state else 0)
        if name in self._broken:
            number = self._broken[name]
            self._note_fault(name)
            raise OSError(number, os.strerror(number), name)

    def _note_fault(self, name: str) -> None:
        timeline = current_timeline()
        if timeline is not None:
            timeline.record("fault", f"no writing of {name}: {MADE}", blocking=True)

    def fail(self, name: str, number: int) -> None:
        """From now on writing the file `name`, opened already or not, fails with this `errno`."""
        self._broken[name] = number

    def fill_up_for(self, text: str) -> list[str]:
        """From now on there is no space left for a piece that holds this text, in any file.

        Gives a list that the names of the files are put into for which there was none.
        """
        self._refused = text.encode()
        return self._without_space

    def fill_up(self, name: str) -> None:
        """From now on there is no space left for the file `name`, opened already or not."""
        self.fail(name, errno.ENOSPC)

    @contextmanager
    def foreign_locale(self) -> Iterator[None]:
        """A machine whose locale is not UTF-8, with Python's UTF-8 mode off.

        Text files are opened in another encoding by default, on every version of Python.
        """
        before = locale.setlocale(locale.LC_CTYPE)
        locale.setlocale(locale.LC_CTYPE, "C")
        self.foreign = True
        try:
            yield
        finally:
            self.foreign = False
            locale.setlocale(locale.LC_CTYPE, before)

    def name_of(self, path: object) -> str | None:
        """The name of a path below the working directory, with `/`; None elsewhere."""
        full = full_path(path)
        if full is None:
            return None
        name = os.path.relpath(full, self._root)
        return None if name.startswith("..") else Path(name).as_posix()

    def opened(self, name: str, *, writing: bool) -> None:
        """Note that a file is opened, and stop or fail it where a spec wants that."""
        if writing and name in self._broken and by_the_solution():
            self._stop("open", name)
        if not counts():
            timeline = current_timeline()
            if writing and timeline is not None and places_here() and not by_the_solution():
                timeline.record("write", name)  # a spec has called the function that writes
            return
        if not writing:
            self.used("read", name)
            return
        self._stop("open", name)
        self.note("write", name)

    def written(self, name: str, data: Any = b"") -> None:
        """Note that a piece of a file is written, and stop or fail it where a spec wants that."""
        if not counts():
            return
        self._stop("write", name)
        pieces = data if isinstance(data, (list, tuple)) else [data]
        if self._refused and any(self._refused in builtins.bytes(piece) for piece in pieces):
            self._without_space.append(name)
            self._note_fault(name)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        timeline = current_timeline()
        last = timeline.events[-1] if timeline and timeline.events else None
        if timeline and (
            last is None
            or (last.kind, last.detail, last.on_loop)
            != (
                "write",
                name,
                timeline.on_loop(),
            )
        ):
            self.note("write", name)

    def changed(self, kind: str, path: object, target: object = None) -> None:
        """Note that a file or a folder is made, moved or removed."""
        name = self.name_of(path)
        place = name if target is None else self.name_of(target)
        if not counts() or place is None or place.startswith("shop.db"):
            return
        if kind != "remove":
            self._stop("open", place)
        self.used(kind, place if place == name or name is None else f"{name} to {place}")

    def used(self, kind: str, name: str) -> None:
        """Note what matters only on the event loop's thread."""
        timeline = current_timeline()
        if timeline is not None and timeline.on_loop() and counts():
            self.note(kind, name)

    def note(self, kind: str, name: str) -> None:
        """Note something that keeps its thread busy."""
        timeline = current_timeline()
        if timeline is not None:
            timeline.record(kind, name, blocking=True)

    def may_be_temporary(self, path: object) -> None:
        """Let the module `tempfile` have the file or the folder that it is about to make."""
        full = full_path(path)
        if full is not None:
            self._temporary.add(full)

    def keep_inside(self, *paths: object) -> None:
        """Refuse a solution what it is about to write elsewhere. Raises `PermissionError`."""
        for path in paths:
            full = full_path(path)
            if full is None or self.name_of(path) is not None or self._is_harmless(full):
                continue
            if path in STREAMS:  # a file, where the output of the whole run goes to one
                continue
            if current_exchange() is None and not by_the_solution():
                continue
            timeline = current_timeline()
            if timeline is not None:
                timeline.record("refused", f"writing {os.fsdecode(path)}")  # type: ignore[arg-type]
            # No other hook gets an event that one has refused, but this one of our own.
            sys.audit(REFUSED, path)
            raise PermissionError(errno.EACCES, OUTSIDE, path)

    def _is_harmless(self, full: str) -> bool:
        """Whether it is a device, bytecode, a folder that is there, or what `tempfile` has made."""
        beneath = any(full == made or full.startswith(made + os.sep) for made in self._temporary)
        return (
            beneath
            or full.startswith(("/dev/", "/proc/"))
            or "__pycache__" in full
            or is_folder(full)
        )


def counts() -> bool:
    """Whether what happens here is the solution's, and not what a spec or an import does."""
    timeline = current_timeline()
    return timeline is not None and (current_exchange() is not None or not timeline.on_loop())


@dataclass
class _Held:
    """A hold on a file, and how often each exchange has come there."""

    name: str
    step: int
    hold: Hold
    steps: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    def come(self, how: str, name: str, exchange: int) -> None:
        if self.name not in (name, "*"):
            return
        self.steps[how, name, exchange] += 1
        if self.steps[how, name, exchange] == self.step and (how == "open" or self.step > 1):
            self.hold.stop_here()


@dataclass
class _HeldStep:
    """A hold on whatever an exchange does to the disk in its tasks."""

    hold: Hold

    def come(self, _how: str, name: str, _exchange: int) -> None:
        state = current_exchange()
        if state is not None and state.responded:
            if not self.hold.reached:
                self.hold.what = f"the writing of {name}"
            self.hold.stop_here()


_disk: Disk | None = None


def current_disk() -> Disk | None:
    """The disk of the spec that runs now, if one does."""
    return _disk


def use(disk: Disk | None) -> None:
    """Make `disk` the one in force."""
    global _disk
    _disk = disk

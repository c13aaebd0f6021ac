"""The observer of files: what a solution opens and writes in the working directory of a spec.

Opening is seen by an audit hook, whatever opens. Writing to a file that was opened earlier is seen
because `open` hands out a file whose lowest layer notes each write; all layers above it are
Python's own.
"""

from __future__ import annotations

import builtins
import errno
import io
import locale
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dojo import audit
from dojo.holds import Hold
from dojo.learner import places_here
from dojo.timeline import MADE, owner, witness

_real_open = io.open
FOREIGN_ENCODING = "cp1252"


class Disk:
    """The working directory of a spec, and what happens to its files."""

    __slots__ = (
        "_full",
        "_holds",
        "directory",
        "foreign",
    )

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.foreign = False
        self._full: set[str] = set()
        self._holds: list[_Held] = []

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

    def files(self) -> list[str]:
        """All files below the working directory with `/` in their names, sorted; the database left
        out."""
        found = (p.relative_to(self.directory) for p in self.directory.rglob("*") if p.is_file())
        return sorted(p.as_posix() for p in found if not p.name.startswith("shop.db"))

    def hold(self, name: str, *, step: int = 1) -> Hold:
        """Hold the first exchange that opens the file `name` for writing, just before it is
        opened.

        With `step=2` it is one that opens it a second time, or hands the system a second piece of
        text. The name `*` is any file.
        """
        hold = Hold(f"the writing of {name}")
        self._holds.append(_Held(name, step, hold))
        return hold

    def _stop(self, how: str, name: str) -> None:
        moments = owner()
        for held in self._holds:
            held.come(how, name, moments.number if moments else 0)
        if name in self._full:
            timeline = witness()
            if timeline is not None:
                timeline.record("fault", f"no space for {name}: {MADE}", blocking=True)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def fill_up(self, name: str) -> None:
        """From now on there is no space left for the file `name`, opened already or not."""
        self._full.add(name)

    @contextmanager
    def foreign_locale(self) -> Iterator[None]:
        """A machine whose locale is not UTF-8: text files are opened in another encoding by
        default."""
        before = locale.setlocale(locale.LC_CTYPE)
        locale.setlocale(locale.LC_CTYPE, "C")
        self.foreign = True
        try:
            yield
        finally:
            self.foreign = False
            locale.setlocale(locale.LC_CTYPE, before)

    def name_of(self, path: object) -> str | None:
        """The name of a path below the working directory, with `/`; None for what lies
        elsewhere."""
        if not isinstance(path, (str, builtins.bytes, os.PathLike)):
            return None
        full = os.path.join(os.getcwd(), os.fsdecode(path))
        name = os.path.relpath(os.path.realpath(full), os.path.realpath(self.directory))
        return None if name.startswith("..") else Path(name).as_posix()

    def opened(self, name: str, *, writing: bool) -> None:
        timeline = witness()
        if timeline is None:
            return
        if owner() is None and timeline.on_loop():
            if writing and places_here():  # called by the spec itself
                timeline.record("write", name)
            return
        if not writing:
            if timeline.on_loop():
                timeline.record("read", name, blocking=True)
            return
        self._stop("open", name)
        timeline.record("write", name, blocking=True)

    def written(self, name: str) -> None:
        timeline = witness()
        if timeline is None or (owner() is None and timeline.on_loop()):
            return
        self._stop("write", name)
        last = timeline.events[-1] if timeline.events else None
        if last is None or (last.kind, last.detail, last.on_loop) != (
            "write",
            name,
            timeline.on_loop(),
        ):
            timeline.record("write", name, blocking=True)


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


_disk: Disk | None = None


def use(disk: Disk | None) -> None:
    global _disk
    _disk = disk


def install() -> None:
    """Observe `open` in this process; once is enough."""
    audit.on("open", _seen)
    if builtins.open is not _open:
        builtins.open = _open
        io.open = _open


def _seen(path: object, mode: str | None, flags: int) -> None:
    if _disk is None or isinstance(path, int):
        return
    name = _disk.name_of(path)
    if name is not None and not name.startswith("shop.db"):
        writing = bool(flags & (os.O_WRONLY | os.O_RDWR)) if flags else _writes(mode or "r")
        _disk.opened(name, writing=writing)


def _writes(mode: str) -> bool:
    return any(letter in mode for letter in "wax+")


class _NotedFile(io.FileIO):
    """A file whose writes are noted when they reach the system, not when they are buffered."""

    dojo_name = ""

    def write(self, data: Any) -> int:
        if _disk is not None:
            _disk.written(self.dojo_name)
        return super().write(data)


def _open(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    timeline = witness()
    name = None
    if timeline is not None and _disk is not None and isinstance(mode, str) and _writes(mode):
        name = _disk.name_of(file)
    text_only = (encoding, errors, newline) != (None, None, None)
    wrong = text_only or "t" in mode if "b" in mode else buffering == 0
    if name is None or _disk is None or wrong:
        return _real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    if "b" not in mode and encoding in (None, "locale") and _disk.foreign:
        encoding = FOREIGN_ENCODING
    # The layers are the ones that `open` itself would build.
    raw = _NotedFile(file, mode.replace("b", "").replace("t", ""), closefd, opener)
    raw.dojo_name = name
    if buffering == 0:
        return raw
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    buffer: Any = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw, size)
    if "b" in mode:
        return buffer
    try:
        text = io.TextIOWrapper(buffer, encoding, errors, newline, buffering == 1)
        text.mode = mode  # type: ignore[misc]
    except BaseException:
        buffer.close()
        raise
    return text

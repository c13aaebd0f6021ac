"""The observer of files: what a solution does in the working directory of a spec, and the guard
that keeps it inside.

Opening, renaming, removing and making folders are seen by an audit hook, whatever does it. Writing
to a file that was opened earlier is seen because `open` hands out a file whose lowest layer notes
each write; all layers above it are Python's own. Looking at a file, and writing to a descriptor,
have no audit event: thin wrappers in `os` note these.
"""

from __future__ import annotations

import builtins
import errno
import functools
import io
import locale
import os
import stat
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dojo.harness import debugger
from dojo.harness.current import by_the_solution, current_exchange, current_timeline
from dojo.harness.frames import callers, is_learners, module_of, places_here
from dojo.harness.holds import Hold
from dojo.harness.timeline import MADE

_real_open = io.open
_real_text_encoding = io.text_encoding
_real_stat = os.stat
_real_fstat = os.fstat
FOREIGN_ENCODING = "cp1252"
# `io.DEFAULT_BUFFER_SIZE` grew with Python 3.14, and with it what a half-written file holds.
BUFFER_SIZE = 8192
REFUSED = "dojo.refused"
OUTSIDE = "the dojo lets nothing be written outside the working directory of a spec"


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

    def files(self) -> list[str]:
        """All files below the working directory with `/` in their names, sorted; the database left
        out."""
        found = (p.relative_to(self.directory) for p in self.directory.rglob("*") if p.is_file())
        return sorted(p.as_posix() for p in found if not p.name.startswith("shop.db"))

    def hold(self, name: str, *, step: int = 1) -> Hold:
        """Hold the first exchange that opens the file `name` for writing, or puts another file or a
        folder in that place, just before it does so.

        With `step=2` it is one that opens it a second time, or hands the system a second piece of
        text. The name `*` is any file.
        """
        hold = Hold(f"the writing of {name}")
        self._holds.append(_Held(name, step, hold))
        return hold

    def hold_step(self) -> Hold:
        """Hold the next exchange that changes a file or a folder after its response, just before it
        does so: opens a file for writing, hands the system a piece of it, makes or moves
        something."""
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
        """From now on there is no space left for a piece that holds this text, in whatever file;
        the names of the files for which there was none."""
        self._refused = text.encode()
        return self._without_space

    def fill_up(self, name: str) -> None:
        """From now on there is no space left for the file `name`, opened already or not."""
        self.fail(name, errno.ENOSPC)

    @contextmanager
    def foreign_locale(self) -> Iterator[None]:
        """A machine whose locale is not UTF-8, with Python's UTF-8 mode off: text files are opened
        in another encoding by default, on every version of Python."""
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
        full = _full(path)
        if full is None:
            return None
        name = os.path.relpath(full, self._root)
        return None if name.startswith("..") else Path(name).as_posix()

    def opened(self, name: str, *, writing: bool) -> None:
        if writing and name in self._broken and by_the_solution():
            self._stop("open", name)
        if not _counts():
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
        if not _counts():
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
        if not _counts() or place is None or place.startswith("shop.db"):
            return
        if kind != "remove":
            self._stop("open", place)
        self.used(kind, place if place == name or name is None else f"{name} to {place}")

    def used(self, kind: str, name: str) -> None:
        """Note what hurts nobody in a thread."""
        timeline = current_timeline()
        if timeline is not None and timeline.on_loop() and _counts():
            self.note(kind, name)

    def note(self, kind: str, name: str) -> None:
        timeline = current_timeline()
        if timeline is not None:
            timeline.record(kind, name, blocking=True)

    def may_be_temporary(self, path: object) -> None:
        """Let the module `tempfile` have the file or the folder that it is about to make."""
        full = _full(path)
        if full is not None:
            self._temporary.add(full)

    def keep_inside(self, *paths: object) -> None:
        """Refuse a solution what it is about to write elsewhere. Raises `PermissionError`."""
        for path in paths:
            full = _full(path)
            if full is None or self.name_of(path) is not None or self._is_harmless(full):
                continue
            if current_exchange() is None and not by_the_solution():
                continue
            timeline = current_timeline()
            if timeline is not None:
                timeline.record("refused", f"writing {os.fsdecode(path)}")  # type: ignore[arg-type]
            # The event itself goes no further: who else wants to know is told by one of our own.
            sys.audit(REFUSED, path)
            raise PermissionError(errno.EACCES, OUTSIDE, path)

    def _is_harmless(self, full: str) -> bool:
        """Whether it is a device, bytecode, a folder that is there, or what `tempfile` has made."""
        beneath = any(full == made or full.startswith(made + os.sep) for made in self._temporary)
        return (
            beneath
            or full.startswith(("/dev/", "/proc/"))
            or "__pycache__" in full
            or _is_folder(full)
        )


def _counts() -> bool:
    """Whether what happens here is the solution's, and not what a spec or an import does."""
    timeline = current_timeline()
    return timeline is not None and (current_exchange() is not None or not timeline.on_loop())


class _Busy(threading.local):
    """Whether this thread asks about a path for the observer itself."""

    asking = False


_busy = _Busy()


def _full(path: object) -> str | None:
    """A path without links in it; None for what is no path."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None
    _busy.asking = True
    try:
        return os.path.realpath(os.path.join(os.getcwd(), os.fsdecode(path)))
    except ValueError:  # a null character
        return None
    finally:
        _busy.asking = False


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

    def come(self, how: str, name: str, exchange: int) -> None:
        state = current_exchange()
        if state is not None and state.responded:
            if not self.hold.reached:
                self.hold.what = f"the writing of {name}"
            self.hold.stop_here()


_disk: Disk | None = None


def use(disk: Disk | None) -> None:
    global _disk
    _disk = disk


def _is_asked_by_others() -> bool:
    """Whether it is the dojo that looks, or Python that wants the lines of a traceback."""
    for frame in callers():
        if is_learners(frame):
            return False
        if module_of(frame).startswith(("linecache", "dojo.grading")):
            return True
    return False


def looking(real: Callable[..., Any]) -> Callable[..., Any]:
    """In place of a function that looks at a file: note that it does."""

    @functools.wraps(real)
    def look(path: Any, *args: Any, **options: Any) -> Any:
        timeline = current_timeline()
        on_loop = timeline is not None and timeline.on_loop() and not _busy.asking
        if on_loop and _disk is not None and _counts() and not _is_asked_by_others():
            name = _disk.name_of(path)
            if name is not None and not name.startswith("shop.db"):
                _disk.used("look", name)
        return real(path, *args, **options)

    return look


def writing(real: Callable[..., Any]) -> Callable[..., Any]:
    """In place of a function that writes to a descriptor: note it, or fail it."""

    @functools.wraps(real)
    def write(descriptor: int, *args: Any) -> Any:
        name = _name_of_descriptor(descriptor)
        if name is not None and _disk is not None:
            _disk.written(name, *args[:1])
        return real(descriptor, *args)

    return write


_real_open_descriptor = os.open
_descriptors: dict[int, tuple[str, int, int]] = {}


def open_descriptor(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """In place of `os.open`: remember the name of the file that a descriptor writes to."""
    descriptor = _real_open_descriptor(path, flags, mode, dir_fd=dir_fd)
    if current_timeline() is not None and _disk is not None and flags & (os.O_WRONLY | os.O_RDWR):
        name = _disk.name_of(path)
        if name is not None and dir_fd is None:
            found = _real_fstat(descriptor)
            _descriptors[descriptor] = (name, found.st_dev, found.st_ino)
    return descriptor


def _name_of_descriptor(descriptor: object) -> str | None:
    """The name that `os.open` has opened a descriptor with, unless it is another file by now."""
    if _disk is None or not isinstance(descriptor, int) or descriptor not in _descriptors:
        return None
    name, device, node = _descriptors[descriptor]
    try:
        found = _real_fstat(descriptor)
    except OSError:
        return None
    return name if (found.st_dev, found.st_ino) == (device, node) else None


def _is_there(path: Any) -> bool:
    try:
        return bool(_real_stat(path))
    except (OSError, ValueError):
        return False


def _is_folder(path: Any) -> bool:
    return _is_there(path) and stat.S_ISDIR(_real_stat(path).st_mode)


def _seen(path: object, mode: str | None, flags: int) -> None:
    if _disk is None or isinstance(path, int):
        return
    writing = bool(flags & (os.O_WRONLY | os.O_RDWR)) if flags else _writes(mode or "r")
    if writing:
        _disk.keep_inside(path)
    name = _disk.name_of(path)
    if name is None or name.startswith("shop.db"):
        return
    if writing:
        # `tempfile` opens a folder to have a file without a name in it.
        if not _is_folder(path):
            _disk.opened(name, writing=True)
    elif not _is_no_file(name) and not debugger.reads():
        _disk.opened(name, writing=False)


def _changes(kind: str) -> Callable[..., None]:
    """What to do at an event about one path."""

    def seen(path: object, *rest: object) -> None:
        if _disk is not None and not isinstance(path, int) and (not rest or rest[-1] in (-1, None)):
            _disk.keep_inside(path)
            _disk.changed(kind, path)

    return seen


def _puts(kind: str) -> Callable[..., None]:
    """What to do at an event about a path and where it is put."""

    def seen(path: object, target: object, *folders: object) -> None:
        if _disk is not None and all(folder == -1 for folder in folders):
            _disk.keep_inside(*([target] if kind == "link" else [path, target]))
            _disk.changed(kind, path, target)

    return seen


def _lists(path: object) -> None:
    name = _disk.name_of(path) if _disk is not None else None
    if name is not None and _disk is not None:
        _disk.used("list", name)


def _temporary(path: object) -> None:
    if _disk is not None:
        _disk.may_be_temporary(path)


EVENTS: dict[str, Callable[..., None]] = {
    "open": _seen,
    "os.mkdir": lambda path, mode, folder: _changes("mkdir")(path, folder),
    "os.remove": _changes("remove"),
    "os.rmdir": _changes("remove"),
    "os.truncate": lambda path, length: _changes("write")(path),
    "os.rename": _puts("rename"),
    "os.link": _puts("link"),
    "os.symlink": _puts("link"),
    "os.listdir": _lists,
    "os.scandir": _lists,
    "tempfile.mkstemp": _temporary,
    "tempfile.mkdtemp": _temporary,
}


def _is_no_file(name: str) -> bool:
    """Whether Python itself looks for the text of code that came from no file.

    It opens `<unknown>` or `<string>` where it shows an error in such code, also while it logs an
    exception.
    """
    return name.startswith("<") and name.endswith(">") and not _is_there(name)


def text_encoding(encoding: str | None, stacklevel: int = 2, /) -> str:
    """In place of `io.text_encoding`.

    What `Path` and `logging` ask first; it is "utf-8" in UTF-8 mode, the default since 3.15.
    """
    if encoding is None and _disk is not None and _disk.foreign:
        return "locale"
    return _real_text_encoding(encoding, stacklevel + 1)


def _writes(mode: str) -> bool:
    return any(letter in mode for letter in "wax+")


class _NotedFile(io.FileIO):
    """A file whose writes are noted when they reach the system, not when they are buffered."""

    dojo_name = ""

    def write(self, data: Any) -> int:
        if _disk is not None:
            _disk.written(self.dojo_name, data)
        return super().write(data)


def open_noted(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """In place of `open`: a file that is opened for writing notes each write."""
    name = None
    if current_timeline() is not None and _disk is not None and isinstance(mode, str):
        name = _name_of_descriptor(file) if isinstance(file, int) else _disk.name_of(file)
    text_only = (encoding, errors, newline) != (None, None, None)
    wrong = text_only or "t" in mode if "b" in mode else buffering == 0
    if name is not None and _disk is not None and _disk.foreign and "b" not in mode:
        encoding = FOREIGN_ENCODING if encoding in (None, "locale") else encoding
    if name is None or wrong or not _writes(mode):
        return _real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    # The layers are the ones that `open` itself would build.
    raw = _NotedFile(file, mode.replace("b", "").replace("t", ""), closefd, opener)
    raw.dojo_name = _name_of_descriptor(raw.fileno()) or name
    if buffering == 0:
        return raw
    size = buffering if buffering > 1 else BUFFER_SIZE
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

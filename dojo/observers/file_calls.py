"""The replacements of `open`, and of the functions of `os` that have no audit event."""

from __future__ import annotations

import functools
import io
import mmap
import os
from collections.abc import Callable
from typing import Any

from dojo.harness.current import current_timeline
from dojo.harness.frames import callers, is_learners, module_of
from dojo.observers.file_events import writes
from dojo.observers.files import counts, current_disk
from dojo.observers.paths import busy

FOREIGN_ENCODING = "cp1252"
# `io.DEFAULT_BUFFER_SIZE` grew with Python 3.14, and with it what a half-written file holds.
BUFFER_SIZE = 8192

_real_open = io.open
_real_text_encoding = io.text_encoding
_real_fstat = os.fstat
_real_open_descriptor = os.open
_names: dict[tuple[int, int], str] = {}  # by device and number of the file


def open_descriptor(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """In place of `os.open`: remember the name of the file that a descriptor writes to."""
    descriptor = _real_open_descriptor(path, flags, mode, dir_fd=dir_fd)
    disk = current_disk()
    if disk is not None and flags & (os.O_WRONLY | os.O_RDWR):
        name = disk.name_of(path)
        if name is not None and dir_fd is None:
            _names[_number_of(descriptor)] = name
        else:  # the number may be that of a file that was removed
            _names.pop(_number_of(descriptor), None)
    return descriptor


def _number_of(descriptor: int) -> tuple[int, int]:
    found = _real_fstat(descriptor)
    return found.st_dev, found.st_ino


def _name_of_descriptor(descriptor: object) -> str | None:
    """The name that a file was opened by for writing, whatever descriptor of it this is."""
    try:
        return _names.get(_number_of(descriptor)) if isinstance(descriptor, int) else None
    except (OSError, OverflowError):
        return None


def looking(real: Callable[..., Any]) -> Callable[..., Any]:
    """In place of a function that looks at a file: note that it does."""

    @functools.wraps(real)
    def look(path: Any, *args: Any, **options: Any) -> Any:
        timeline = current_timeline()
        disk = current_disk()
        on_loop = timeline is not None and timeline.on_loop() and not busy.asking
        if on_loop and disk is not None and counts() and not _is_asked_by_others():
            name = disk.name_of(path)
            if name is not None and not name.startswith("shop.db"):
                disk.used("look", name)
        return real(path, *args, **options)

    return look


def writing(real: Callable[..., Any]) -> Callable[..., Any]:
    """In place of a function that writes to a descriptor: note it, or fail it."""

    @functools.wraps(real)
    def write(descriptor: int, *args: Any) -> Any:
        name, disk = _name_of_descriptor(descriptor), current_disk()
        if name is not None and disk is not None:
            disk.written(name, *args[:1])
        return real(descriptor, *args)

    return write


def mapping(descriptor: int, _length: int, access: int, _offset: int) -> None:
    """Called when a file is mapped into memory, in which it can be written to unseen."""
    name, disk = _name_of_descriptor(descriptor), current_disk()
    if name is not None and disk is not None and access != mmap.ACCESS_READ:
        disk.used("write", name)


def _is_asked_by_others() -> bool:
    """Whether it is the dojo that looks, or Python that wants the lines of a traceback."""
    for frame in callers():
        if is_learners(frame):
            return False
        if module_of(frame).startswith(("linecache", "dojo.grading")):
            return True
    return False


def text_encoding(encoding: str | None, stacklevel: int = 2, /) -> str:
    """In place of `io.text_encoding`.

    What `Path` and `logging` ask first; it is "utf-8" in UTF-8 mode, the default since 3.15.
    """
    disk = current_disk()
    if encoding is None and disk is not None and disk.foreign:
        return "locale"
    return _real_text_encoding(encoding, stacklevel + 1)


class _NotedFile(io.FileIO):
    """A file whose writes are noted when they reach the system, not when they are buffered.

    It is the lowest layer of a file that `open` hands out; those above it are Python's own.
    """

    dojo_name = ""

    def write(self, data: Any) -> int:
        disk = current_disk()
        if disk is not None:
            disk.written(self.dojo_name, data)
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
    name, disk = None, current_disk()
    if disk is not None and isinstance(mode, str):
        name = _name_of_descriptor(file) if isinstance(file, int) else disk.name_of(file)
    text_only = (encoding, errors, newline) != (None, None, None)
    wrong = text_only or "t" in mode if "b" in mode else buffering == 0
    if name is not None and disk is not None and disk.foreign and "b" not in mode:
        encoding = FOREIGN_ENCODING if encoding in (None, "locale") else encoding
    if name is None or wrong or not writes(mode):
        return _real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    # The layers are the ones that `open` itself would build.
    raw = _NotedFile(file, mode.replace("b", "").replace("t", ""), closefd, opener)
    raw.dojo_name = (opener is not None and _name_of_descriptor(raw.fileno())) or name
    _names[_number_of(raw.fileno())] = raw.dojo_name
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

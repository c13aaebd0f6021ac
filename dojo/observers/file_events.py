"""The audit events of files: opening, moving, removing and making, whatever does it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from dojo.harness import debugger
from dojo.observers.files import Disk, current_disk
from dojo.observers.paths import is_folder, is_there


def writes(mode: str) -> bool:
    """Whether a file is opened for writing, by the mode that `open` is given."""
    return any(letter in mode for letter in "wax+")


def _told(handler: Callable[..., None], *args: object) -> None:
    disk = current_disk()
    if disk is not None:
        handler(disk, *args)


def _opens(disk: Disk, path: object, mode: str | None, flags: int) -> None:
    if isinstance(path, int):
        return
    writing = bool(flags & (os.O_WRONLY | os.O_RDWR)) if flags else writes(mode or "r")
    if writing:
        disk.keep_inside(path)
    name = disk.name_of(path)
    if name is None or name.startswith("shop.db"):
        return
    if writing:
        # `tempfile` opens a folder to have a file without a name in it.
        if not is_folder(path):
            disk.opened(name, writing=True)
    elif not _is_no_file(name) and not debugger.reads():
        disk.opened(name, writing=False)


def _is_no_file(name: str) -> bool:
    """Whether Python itself looks for the text of code that came from no file.

    It opens `<unknown>` or `<string>` where it shows an error in such code, also while it logs an
    exception.
    """
    return name.startswith("<") and name.endswith(">") and not is_there(name)


def _changes(kind: str, disk: Disk, path: object, folder: object = None) -> None:
    if not isinstance(path, int) and folder in (-1, None):
        disk.keep_inside(path)
        disk.changed(kind, path)


def _moves(kind: str, disk: Disk, path: object, target: object, *folders: object) -> None:
    if all(folder == -1 for folder in folders):
        disk.keep_inside(*([target] if kind == "link" else [path, target]))
        disk.changed(kind, path, target)


def _lists(disk: Disk, path: object) -> None:
    name = disk.name_of(path)
    if name is not None:
        disk.used("list", name)


_HANDLERS: dict[str, Callable[..., None]] = {
    "open": _opens,
    "os.mkdir": lambda disk, path, _mode, folder: _changes("mkdir", disk, path, folder),
    "os.remove": partial(_changes, "remove"),
    "os.rmdir": partial(_changes, "remove"),
    "os.truncate": lambda disk, path, _length: _changes("write", disk, path),
    "os.rename": partial(_moves, "rename"),
    "os.link": partial(_moves, "link"),
    "os.symlink": partial(_moves, "link"),
    "os.listdir": _lists,
    "os.scandir": _lists,
    "tempfile.mkstemp": Disk.may_be_temporary,
    "tempfile.mkdtemp": Disk.may_be_temporary,
}
EVENTS: dict[str, Callable[..., None]] = {
    name: partial(_told, handler) for name, handler in _HANDLERS.items()
}

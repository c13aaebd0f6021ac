"""Finds submissions, and reads from each the solution of each kata and nothing else."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dojo.catalogue import Kata

LIMIT = 1_000_000  # bytes of one file
NAME = 120  # characters


class SubmissionsNotFoundError(Exception):
    """No submissions at the given paths; the message says what was looked for."""


@dataclass(frozen=True)
class SubmittedFile:
    """The submitted solution of one kata: its bytes, or the reason why there are none.

    `path` is relative to the submission. `missing` means that there is no such file, `refused`
    that it is a link or no regular file, and `trouble` that this machine could not read it.
    """

    path: str
    source: bytes | None = None
    missing: bool = False
    refused: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class SubmittedFiles:
    """The content of a submission when it was read: its name, and its files by kata."""

    name: str
    files: dict[str, SubmittedFile]

    @property
    def digest(self) -> str:
        """A hash of the content of all files."""
        digest = hashlib.sha256()
        for kata in sorted(self.files):
            file = self.files[kata]
            why = f"{file.missing} {file.refused} {file.trouble}"
            for part in (kata.encode(), file.path.encode(), file.source or b"", why.encode()):
                digest.update(len(part).to_bytes(8) + part)
        return digest.hexdigest()


@dataclass(frozen=True)
class Submission:
    """A submission on disk: a folder, or the only file of one.

    The folder is a checkout that has a `katas/`, a folder laid out like `katas/`, the folder of
    one kata, or a folder with one of these in it.
    """

    name: str
    path: Path
    linked: bool = False
    file: str = ""

    def read(self, katas: Iterable[Kata]) -> SubmittedFiles:
        """Read its files as they are now; where there are none, each file says so as `trouble`."""
        katas = list(katas)
        files = self.files(katas)
        if all(file.missing for file in files.values()):
            trouble = self._nothing_found(katas)
            files = {kata: replace(f, missing=False, trouble=trouble) for kata, f in files.items()}
        return SubmittedFiles(self.name, files)

    def files(self, katas: Iterable[Kata]) -> dict[str, SubmittedFile]:
        """The submitted file of each kata, read without following links."""
        katas = list(katas)
        if self.linked:
            why = f"{self.name} is a link to a folder: it was not followed"
            return {kata.name: SubmittedFile(f"{kata.name}/app.py", refused=why) for kata in katas}
        found: dict[str, tuple[str, ...]]
        if self.file:
            found = {kata.name: (self.file,) for kata in katas if self._is_of(kata, katas)}
        else:
            found = self._found((), katas)
            below = [] if found else self._below(katas)
            if len(below) == 1:
                found = below[0]
        start = ("katas",) if _exists(self.path / "katas") else ()
        return {
            kata.name: read_file(self.path, found[kata.name])
            if kata.name in found
            else SubmittedFile("/".join((*start, kata.name, "app.py")), missing=True)
            for kata in katas
        }

    def _found(self, base: tuple[str, ...], katas: list[Kata]) -> dict[str, tuple[str, ...]]:
        """The path of each kata's file below the folder `base`, of those that are there."""
        folder = Path(os.path.abspath(self.path.joinpath(*base)))
        found = {}
        for kata in katas:
            places = [
                (*start, *place)
                for place in ((kata.name, "app.py"), (kata.number, "app.py"))
                for start in ((), ("katas",))
            ]
            places += [(f"{kata.name}.py",), (f"{kata.number}.py",)]
            if folder.name in (kata.name, kata.number) or len(katas) == 1:
                places.append(("app.py",))
            there = [place for place in places if _exists(folder.joinpath(*place))]
            if there:
                found[kata.name] = (*base, *there[0])
        return found

    def _below(self, katas: list[Kata]) -> list[dict[str, tuple[str, ...]]]:
        """What each folder in this one holds, of those that hold anything."""
        try:
            folders = _folders(self.path)
        except OSError:
            return []
        found = [self._found((e.name,), katas) for e in folders if not e.is_symlink()]
        return [paths for paths in found if paths]

    def _is_of(self, kata: Kata, katas: list[Kata]) -> bool:
        """Whether the only file is the solution of this kata, by its name or that of its folder."""
        names = (Path(self.file).stem, Path(os.path.abspath(self.path)).name)
        asked = [k for k in katas if k.name in names or k.number in names]
        return kata in (asked or katas if len(katas) == 1 else asked)

    def _nothing_found(self, katas: list[Kata]) -> str:
        if self.file:
            return f"nothing found: {self.file} is of no kata: name it {katas[0].number}.py"
        if len(self._below(katas)) > 1:
            return f"nothing found: it holds several submissions: did you mean --each {self.path}?"
        return (
            f"nothing found: there is no file like katas/{katas[0].name}/app.py, "
            "in the folder or one level down"
        )


def gather(paths: Sequence[Path], each: Sequence[Path]) -> list[Submission]:
    """The submissions at `paths`, and one for every folder in each of `each`; each of them once.

    Raises `SubmissionsNotFoundError`.
    """
    found: list[tuple[Path, bool]] = []
    for path in paths:
        if not path.is_dir() and not (path.is_file() and path.suffix == ".py"):
            there = "is a file" if path.exists() else "is not there"
            raise SubmissionsNotFoundError(
                f"{path} {there}: give a checkout, a folder laid out like katas/, or an app.py"
            )
        found.append((path, False))
    for folder in each:
        if not folder.is_dir():
            there = "is a file" if folder.exists() else "is not there"
            raise SubmissionsNotFoundError(
                f"--each {folder} {there}: give the folder that holds them all"
            )
        if _is_checkout(folder):
            raise SubmissionsNotFoundError(
                f"--each {folder} is a submission itself: leave --each out or name the folder above"
            )
        try:
            folders = _folders(folder)
        except OSError as error:
            raise SubmissionsNotFoundError(f"--each {folder}: {error.strerror}") from None
        if not folders:
            raise SubmissionsNotFoundError(
                f"--each {folder} holds no folders: a submission is a folder each"
            )
        found += [(Path(entry.path), entry.is_symlink()) for entry in folders]
    places: dict[str, tuple[Path, bool]] = {}
    for path, linked in found:
        places.setdefault(
            os.path.abspath(path) if linked else os.path.realpath(path), (path, linked)
        )
    return _named(places.values())


def _is_checkout(folder: Path) -> bool:
    """Whether a folder is one submission with its `katas/`, and does not hold submissions.

    Among others, a submission may be called `katas`.
    """
    if not any(folder.glob("katas/k*/app.py")):
        return False
    others = [f for f in folder.iterdir() if f.is_dir() and f.name != "katas" and f.name[0] != "."]
    return (folder / "conftest.py").is_file() or not others


def _folders(path: Path) -> list[os.DirEntry[str]]:
    """The folders in a folder, by name, without those that tools leave: `.git`, `__MACOSX`."""
    entries = sorted(os.scandir(path), key=lambda entry: os.fsencode(entry.name))
    return [e for e in entries if e.is_dir() and not e.name.startswith((".", "__"))]


def _named(found: Iterable[tuple[Path, bool]]) -> list[Submission]:
    """Give each a unique name: that of its folder, or its path where that is taken."""
    named: dict[str, Submission] = {}
    for path, linked in found:
        whole = Path(os.path.abspath(path))
        name, number = shown(whole.name or str(whole)), 1
        while name in named:
            name, number = shown(f"{path} ({number})" if number > 1 else str(path)), number + 1
        if path.is_dir() or linked:
            named[name] = Submission(name, path, linked)
        else:
            named[name] = Submission(name, path.parent, file=path.name)
    return list(named.values())


def shown(name: str) -> str:
    """A name that can be shown anywhere: without control characters and undecodable bytes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    clean = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(clean) <= NAME:
        return clean
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return f"{clean[: NAME - 10]}…{digest}"


def shard(submissions: Sequence[Submission], number: int, count: int) -> list[Submission]:
    """The part `number` (from 1) of `count` parts.

    The name of a submission alone decides, so later submissions do not move the others.
    """
    return [
        submission
        for submission in submissions
        if int.from_bytes(hashlib.sha256(submission.name.encode()).digest()[:8]) % count
        == number - 1
    ]


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


def read_file(root: Path, parts: tuple[str, ...]) -> SubmittedFile:
    """Read `root/parts…`, a regular file of at most 1 MB; no part of the path may be a link."""
    name = "/".join(parts)
    try:
        content = (_read_below if os.open in os.supports_dir_fd else _read_by_path)(root, parts)
    except _RefusedError as refused:
        return SubmittedFile(name, refused=f"{name} {refused}: it was not read")
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return SubmittedFile(name, missing=True)
        return SubmittedFile(name, trouble=f"{name} could not be read: {error.strerror}")
    return SubmittedFile(name, source=content)


class _RefusedError(Exception):
    """A file that is not read from a submission; the message says why."""


def _read_below(root: Path, parts: tuple[str, ...]) -> bytes:
    """Open each folder relative to the one before, so that none can be swapped meanwhile."""
    opened = [os.open(root, os.O_RDONLY | os.O_DIRECTORY)]
    try:
        for part in parts[:-1]:
            _check(os.stat(part, dir_fd=opened[-1], follow_symlinks=False), part, last=False)
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY
            opened.append(os.open(part, flags, dir_fd=opened[-1]))
        file = parts[-1]
        _check(os.stat(file, dir_fd=opened[-1], follow_symlinks=False), file, last=True)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        opened.append(os.open(file, flags, dir_fd=opened[-1]))
        return _read(opened[-1])
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _read_by_path(root: Path, parts: tuple[str, ...]) -> bytes:
    """Read where a folder cannot be opened relative to another (Windows)."""
    path = root
    for number, part in enumerate(parts, 1):
        path /= part
        _check(path.lstat(), part, last=number == len(parts))
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return _read(descriptor)
    finally:
        os.close(descriptor)


def _check(about: os.stat_result, part: str, *, last: bool) -> None:
    if stat.S_ISLNK(about.st_mode) or getattr(about, "st_reparse_tag", False):
        raise _RefusedError("is a link" if last else f"is not there itself: {part} is a link")
    if last and not stat.S_ISREG(about.st_mode):
        raise _RefusedError(
            "is a folder" if stat.S_ISDIR(about.st_mode) else "is not a regular file"
        )


def _read(descriptor: int) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise _RefusedError("is not a regular file")
    parts, left = [], LIMIT + 1
    while left > 0 and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    if left <= 0:
        raise _RefusedError(f"is larger than {LIMIT:,} bytes")
    return b"".join(parts)

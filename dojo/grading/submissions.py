"""Submissions, and the only thing that is taken from one: its declared answer files."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dojo.catalogue import Kata

LIMIT = 1_000_000
NAME = 120


class SubmissionsNotFoundError(Exception):
    """Nothing that could be graded was named; the message says what was looked for."""


@dataclass(frozen=True)
class Answer:
    """The answer to one kata, as it was taken: its bytes, or why there are none.

    `missing` says that it simply is not there, `refused` that it is something that is not taken,
    and `trouble` that this machine could not read it.
    """

    file: str
    source: bytes | None = None
    missing: bool = False
    refused: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class HandedIn:
    """A submission as it was taken: its name, and its answers by kata."""

    name: str
    answers: dict[str, Answer]

    @property
    def digest(self) -> str:
        """What tells one set of answers from another."""
        seal = hashlib.sha256()
        for kata in sorted(self.answers):
            answer = self.answers[kata]
            why = f"{answer.missing} {answer.refused} {answer.trouble}"
            for part in (kata.encode(), answer.file.encode(), answer.source or b"", why.encode()):
                seal.update(len(part).to_bytes(8) + part)
        return seal.hexdigest()


@dataclass(frozen=True)
class Submission:
    """What somebody handed in: a checkout that has a `katas/`, or a folder laid out like it."""

    name: str
    path: Path
    linked: bool = False

    def hand_in(self, katas: Iterable[Kata]) -> HandedIn:
        """Take its answers, as they are now."""
        return HandedIn(self.name, self.answers(katas))

    def answers(self, katas: Iterable[Kata]) -> dict[str, Answer]:
        """The answer files that it has, by kata, read without following any link."""
        katas = list(katas)
        if self.linked:
            why = f"{self.name} is a link to a folder: it was not followed"
            return {kata.name: Answer(f"{kata.name}/app.py", refused=why) for kata in katas}
        nested = not any(_is_there(self.path / kata.name / "app.py") for kata in katas)
        start = ("katas",) if nested and _is_there(self.path / "katas") else ()
        return {kata.name: take(self.path, (*start, kata.name, "app.py")) for kata in katas}


def gather(paths: Sequence[Path], each: Sequence[Path]) -> list[Submission]:
    """The submissions at `paths`, and one for every folder in each of `each`.

    Raises `SubmissionsNotFoundError`.
    """
    found: list[tuple[Path, bool]] = []
    for path in paths:
        if not path.is_dir():
            there = "is a file" if path.exists() else "is not there"
            raise SubmissionsNotFoundError(
                f"{path} {there}: give a checkout, or a folder laid out like katas/"
            )
        found.append((path, False))
    for folder in each:
        if not folder.is_dir():
            there = "is a file" if folder.exists() else "is not there"
            raise SubmissionsNotFoundError(
                f"--each {folder} {there}: give the folder that holds them all"
            )
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            raise SubmissionsNotFoundError(f"--each {folder}: {error.strerror}") from None
        folders = [e for e in entries if e.is_dir() and not e.name.startswith(".")]
        if not folders:
            raise SubmissionsNotFoundError(
                f"--each {folder} holds no folders: a submission is a folder each"
            )
        found += [(Path(entry.path), entry.is_symlink()) for entry in folders]
    return _named(found)


def _named(found: Iterable[tuple[Path, bool]]) -> list[Submission]:
    """Give each a name of its own: its folder's, or its path's where that is taken."""
    named: dict[str, Submission] = {}
    for path, linked in found:
        whole = Path(os.path.abspath(path))
        name, number = shown(whole.name or str(whole)), 1
        while name in named:
            name, number = shown(f"{path} ({number})" if number > 1 else str(path)), number + 1
        named[name] = Submission(name, path, linked)
    return list(named.values())


def shown(name: str) -> str:
    """A name as it may be shown anywhere: no control characters, no bytes that are not text."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    clean = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(clean) <= NAME:
        return clean
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return f"{clean[: NAME - 10]}…{digest}"


def shard(submissions: Sequence[Submission], number: int, count: int) -> list[Submission]:
    """The part `number` (from 1) of `count`, by the name of a submission alone, so that it stays
    the same whoever else hands in."""
    return [
        submission
        for submission in submissions
        if int.from_bytes(hashlib.sha256(submission.name.encode()).digest()[:8]) % count
        == number - 1
    ]


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


def take(root: Path, parts: tuple[str, ...]) -> Answer:
    """Read `root/parts…` as a regular file of at most 1 MB, and no part of the way a link."""
    name = "/".join(parts)
    try:
        content = (_read_below if os.open in os.supports_dir_fd else _read_by_path)(root, parts)
    except _RefusedError as refused:
        return Answer(name, refused=f"{name} {refused}: it was not taken")
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return Answer(name, missing=True)
        return Answer(name, trouble=f"{name} could not be read: {error.strerror}")
    return Answer(name, source=content)


class _RefusedError(Exception):
    """What is not taken from a submission."""


def _read_below(root: Path, parts: tuple[str, ...]) -> bytes:
    """Go down step by step, each seen from the one before, so that nothing can be swapped."""
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
    """The same where there is no opening below a folder (Windows)."""
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

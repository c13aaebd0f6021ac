"""The checkpoint of a grading run: a file with one line for each graded submission.

It lies beside the results file until these are written, and a later run can resume from it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from pydantic import ValidationError

from dojo.catalogue import Kata
from dojo.grading.results import State, SubmissionResult


class Checkpoint:
    """The results of submissions on disk, by name and by a digest of the submitted files.

    Only their offsets in the file are kept in memory.
    """

    def __init__(self, file: Path, katas: Sequence[Kata], *, resume: bool) -> None:
        self.file = file
        self._head = {"katas": [kata.name for kata in katas], "points": [k.points for k in katas]}
        self._offsets: dict[tuple[str, str], int] = {}
        if not resume:
            file.unlink(missing_ok=True)
        self._open = self._opened()

    def _opened(self) -> IO[bytes]:
        """Open the file, read its index, and cut off an incomplete last line."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        opened = os.fdopen(os.open(self.file, flags, 0o644), "r+b")
        end = 0
        for number, line in enumerate(opened):
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
                if number == 0 and entry != self._head:
                    break
                if number:
                    self._offsets[entry["name"], entry["digest"]] = end
            except (ValueError, TypeError, KeyError):
                break
            end += len(line)
        opened.truncate(end)
        opened.seek(end)
        if end == 0:
            opened.write(json.dumps(self._head).encode() + b"\n")
            opened.flush()
        return opened

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._open.close()

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._offsets

    def add(self, digest: str, result: SubmissionResult) -> None:
        """Append a result."""
        entry = {"name": result.name, "digest": digest, "result": result.model_dump(mode="json")}
        offset = self._open.seek(0, os.SEEK_END)
        self._open.write(json.dumps(entry).encode() + b"\n")
        self._open.flush()
        self._offsets[result.name, digest] = offset

    def read(self, keys: Sequence[tuple[str, str]]) -> Iterator[SubmissionResult]:
        """Read the results of these submissions, one after the other, in this order."""
        for key in keys:
            if key in self._offsets:
                self._open.seek(self._offsets[key])
                entry = json.loads(self._open.readline())
                yield SubmissionResult.model_validate(entry["result"])

    def drop_ungradable(self) -> None:
        """Forget the results that are `ungradable`, so that they are tried again."""
        for key in list(self._offsets):
            try:
                state = next(self.read([key])).state
            except (ValidationError, ValueError, KeyError):
                state = State.UNGRADABLE
            if state is State.UNGRADABLE:
                del self._offsets[key]

    def discard(self) -> None:
        """Remove the file, after its results were written."""
        self._open.close()
        self.file.unlink(missing_ok=True)

"""The checkpoint of a grading run: what is done, line by line, so that nothing of it is lost.

It lies beside the results file until these are written, and a later run can go on from it.
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
    """Results of submissions on disk, each found again by name and by a digest of its answers.

    Only where they are is kept in memory.
    """

    def __init__(self, file: Path, katas: Sequence[Kata], *, go_on: bool) -> None:
        self.file = file
        self._head = {"katas": [kata.name for kata in katas], "points": [k.points for k in katas]}
        self._places: dict[tuple[str, str], int] = {}
        file.parent.mkdir(parents=True, exist_ok=True)
        if not go_on:
            file.unlink(missing_ok=True)
        self._open = self._opened()

    def _opened(self) -> IO[bytes]:
        """Open it, read what is in it, and cut off a last line that is not whole."""
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
                    self._places[entry["name"], entry["digest"]] = end
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
        return len(self._places)

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._places

    def add(self, digest: str, result: SubmissionResult) -> None:
        """Write a result down; what could not be graded is left for the next run to try again."""
        entry = {"name": result.name, "digest": digest, "result": result.model_dump(mode="json")}
        place = self._open.seek(0, os.SEEK_END)
        self._open.write(json.dumps(entry).encode() + b"\n")
        self._open.flush()
        self._places[result.name, digest] = place

    def read(self, keys: Sequence[tuple[str, str]]) -> Iterator[SubmissionResult]:
        """The results of these submissions, one after the other, in this order."""
        for key in keys:
            if key in self._places:
                self._open.seek(self._places[key])
                entry = json.loads(self._open.readline())
                yield SubmissionResult.model_validate(entry["result"])

    def forget_the_ungradable(self) -> None:
        """Take those that could not be graded for not done yet."""
        for key in list(self._places):
            try:
                state = next(self.read([key])).state
            except (ValidationError, ValueError, KeyError):
                state = State.UNGRADABLE
            if state is State.UNGRADABLE:
                del self._places[key]

    def discard(self) -> None:
        """Remove the file: its results are written."""
        self._open.close()
        self.file.unlink(missing_ok=True)

"""Errors of the solution's process, made anew in the process of the specs."""

from __future__ import annotations

from pathlib import Path

from dojo.grading.remote.messages import ErrorData
from dojo.harness.exchange import NoResponseError
from dojo.harness.frames import ElsewhereError
from dojo.harness.holds import NotReachedError
from dojo.harness.running import Place
from dojo.harness.time_limit import DidNotEndError, TimeLimitError
from dojo.solutions import SolutionLoadError


class ToldLateError(TimeLimitError):
    """A spec did not finish in time, in the words of the solution's process."""

    def __init__(self, said: ErrorData, file: Path) -> None:
        line = next(iter(said.lines), 0)
        super().__init__(said.seconds, Place(said.how, str(file) if line else "", line))
        self._text = said.text

    def __str__(self) -> str:
        return self._text


class ToldNotWrittenError(ElsewhereError, NotImplementedError):
    """A `NotImplementedError` of the solution."""


class HostEndedError(BaseException):
    """The solution's process has ended while a spec needed it."""


def error_of(said: ErrorData, file: Path) -> BaseException:
    """The exception that was told; `file` is the solution."""
    if said.kind == "assertion":
        return AssertionError(said.text)
    if said.kind == "not reached":
        return NotReachedError(said.text)
    if said.kind == "did not end":
        return DidNotEndError(said.text)
    if said.kind == "no response":
        cause = exception_of(said.cause, file) if said.cause is not None else None
        return NoResponseError(said.text, cause)
    if said.kind == "late":
        return ToldLateError(said, file)
    if said.kind == "load":
        line = next(iter(said.lines), 0)
        return SolutionLoadError(file, line, said.text, said.source, late=bool(said.what))
    return exception_of(said, file)


def exception_of(said: ErrorData, file: Path) -> ElsewhereError:
    """An exception of the solution itself, under the name that it had."""
    base = ToldNotWrittenError if said.not_written else ElsewhereError
    error: ElsewhereError = type(said.type, (base,), {})(said.text)
    error.place = (str(file), said.lines[0]) if said.lines else None
    error.shown = said.traceback
    error.task = said.task
    return error

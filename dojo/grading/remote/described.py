"""The solution's side: its exceptions as plain data."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import Any

from dojo.harness import frames
from dojo.harness.exchange import NoResponseError
from dojo.harness.holds import NotReachedError
from dojo.harness.tasks import in_force
from dojo.harness.time_limit import DidNotEndError, TimeLimitError
from dojo.solutions import SolutionLoadError

TEXT = 4_000


def _text(error: BaseException) -> str:
    with contextlib.suppress(Exception):
        return str(error)[:TEXT]
    return ""


def error_data(error: BaseException) -> dict[str, Any]:
    """An exception as plain data; see `messages.ErrorData`."""
    kinds = (
        (NotReachedError, "not reached"),
        (NoResponseError, "no response"),
        (DidNotEndError, "did not end"),
        (AssertionError, "assertion"),
        (TimeLimitError, "late"),
        (SolutionLoadError, "load"),
    )
    place, shown, tasks = frames.place_of(error), frames.traceback_of(error), in_force()
    task = tasks.failed_with(error) if tasks is not None else None
    data: dict[str, Any] = {
        "kind": next((name for kind, name in kinds if isinstance(error, kind)), "other"),
        "type": type(error).__name__[:100],
        "text": _text(error),
        "not_written": isinstance(error, NotImplementedError),
        "lines": [place[1]] if place else [],
        "traceback": asdict(shown) if shown else None,
        "task": tasks.added.index(task) + 1 if tasks is not None and task is not None else 0,
    }
    if data["kind"] == "assertion" and type(error) is not AssertionError:
        data["kind"] = "other"
    if isinstance(error, NoResponseError) and error.cause is not None:
        data["cause"] = error_data(error.cause)
    if isinstance(error, TimeLimitError):
        data |= {"lines": [error.line], "how": error.place.how, "seconds": error.seconds}
    if isinstance(error, SolutionLoadError):
        data |= {"text": error.reason[:TEXT], "lines": [error.line]}
        data |= {"source": error.source[:TEXT], "what": "late" if error.late else ""}
    return data

"""The job queue of a solution: what is put into it is noted, and it can refuse jobs.

It is huey's own, with its store in the working directory of the spec. Only what happens there is
seen and, where a spec wants that, refused.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from typing import Any

from dojo.harness.current import by_the_solution, current_timeline
from dojo.harness.timeline import MADE


class Jobs:
    """The jobs of one spec: those that were refused, and who takes them besides the spec."""

    __slots__ = ("refused", "taken")

    def __init__(self) -> None:
        self.refused: Exception | None = None
        self.taken: list[str] = []


_jobs: Jobs | None = None


def use(jobs: Jobs | None) -> None:
    """Make `jobs` the ones in force."""
    global _jobs
    _jobs = jobs


def utcnow() -> datetime.datetime:
    """In place of huey's own, which is a method of the class that freezegun takes away."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def enqueuing(real: Callable[..., Any]) -> Callable[..., Any]:
    """In place of `Huey.enqueue`: note a job that is put into the queue, or refuse it."""

    @functools.wraps(real)
    def enqueue(queue: Any, task: Any) -> Any:
        timeline = current_timeline()
        if _jobs is None or timeline is None:
            return real(queue, task)
        name = getattr(task, "name", type(task).__name__)
        if _jobs.refused is not None:
            timeline.record("fault", f"the queue takes no job: {MADE}", blocking=True)
            raise _jobs.refused
        result = real(queue, task)
        timeline.record("enqueued", name, blocking=True)
        return result

    return enqueue


def taking(real: Callable[..., Any]) -> Callable[..., Any]:
    """In place of `Huey.dequeue` and of what starts a consumer: note that the solution does it."""

    @functools.wraps(real)
    def take(*args: Any, **options: Any) -> Any:
        if _jobs is None or not by_the_solution():
            return real(*args, **options)
        _jobs.taken.append(real.__qualname__)
        timeline = current_timeline()
        if timeline is not None:
            timeline.record("consumer", f"{real.__qualname__} in the web process", blocking=True)
        # A consumer that ran beside the spec would win or lose by luck.
        return None if "Consumer" in real.__qualname__ else real(*args, **options)

    return take

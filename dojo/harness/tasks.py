"""The background tasks that a solution makes: where, of what, and whether they have run."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, field
from typing import Any

from starlette.background import BackgroundTask

from dojo.harness.current import ExchangeState, current_exchange, current_timeline
from dojo.harness.frames import Place, line_at, places_here, shortened

NAME = 60


@dataclass(eq=False)
class Added:
    """One background task: the exchange it was made in, its function, and the line that made it."""

    task: BackgroundTask
    state: ExchangeState | None
    place: Place | None
    ran: bool = False

    @property
    def name(self) -> str:
        """The name of its function."""
        return _name_of(self.task.func)

    @property
    def is_callable(self) -> bool:
        """Whether it has a function that can be called."""
        return callable(self.task.func)

    @property
    def where(self) -> str:
        """The line that made it."""
        return line_at(self.place) if self.place else "a line of a library"

    def misfit(self) -> str:
        """The fault of the function or its arguments, and how to put it right.

        Empty where nothing is wrong.
        """
        func = self.task.func
        if not callable(func):
            return (
                f"add_task was given {_kind_of(func)} and not a function: add_task(f(x)) calls f "
                f"at once and hands over its result; write add_task(f, x). The line: {self.where}"
            )
        try:
            signature = inspect.signature(func)
        except (TypeError, ValueError):
            return ""
        try:
            signature.bind(*self.task.args, **self.task.kwargs)
        except TypeError as error:
            return (
                f"the arguments of add_task do not fit {self.name}{signature}: {error}. "
                f"The line: {self.where}"
            )
        return ""


def _name_of(func: object) -> str:
    return shortened(str(getattr(func, "__name__", None) or type(func).__name__), NAME)


def _kind_of(value: object) -> str:
    if inspect.iscoroutine(value):
        return f"a coroutine (the result of calling {value.__name__})"
    return "None" if value is None else f"a {type(value).__name__}"


@dataclass
class Tasks:
    """All that were made in one spec."""

    added: list[Added] = field(default_factory=list)

    def of(self, exchange: int | None = None) -> list[Added]:
        """Those that were made in an exchange, or all."""
        return [
            added
            for added in self.added
            if exchange is None or (added.state and added.state.number == exchange)
        ]

    def failed_with(self, error: BaseException) -> Added | None:
        """The background task that an exception came out of."""
        tb = error.__traceback__
        found = None
        while tb is not None:
            found = self.known(tb.tb_frame.f_locals.get("self")) or found
            tb = tb.tb_next
        return found

    def known(self, task: object) -> Added | None:
        """The record of a task; None where it was made elsewhere."""
        return next((added for added in self.added if added.task is task), None)


_tasks: Tasks | None = None


def use(tasks: Tasks | None) -> None:
    """Make `tasks` the ones in force."""
    global _tasks
    _tasks = tasks


def in_force() -> Tasks | None:
    """The tasks of the spec that runs now, if one does."""
    return _tasks


_make = BackgroundTask.__init__
_run = BackgroundTask.__call__


@functools.wraps(_make)
def make(self: BackgroundTask, *args: Any, **kwargs: Any) -> None:
    """In place of `BackgroundTask.__init__`: note that it was made, and where."""
    _make(self, *args, **kwargs)
    if _tasks is not None and current_timeline() is not None:
        places = places_here()
        _tasks.added.append(Added(self, current_exchange(), places[0] if places else None))


@functools.wraps(_run)
async def run(self: BackgroundTask) -> None:
    """In place of `BackgroundTask.__call__`: note that it has run."""
    added = _tasks.known(self) if _tasks is not None else None
    if added is not None:
        added.ran = True
    await _run(self)

"""The specs' side: the other parts of an environment.

Each is the harness's own class where the rest of it stays what it is: files and rows are read here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTask

from dojo.grading.remote.asking import RemoteHold, asked
from dojo.grading.remote.link import Link
from dojo.grading.remote.messages import Names, TaskData
from dojo.harness.exchange import Exchange
from dojo.harness.frames import ElsewhereError
from dojo.harness.tasks import Added, Tasks
from dojo.observers.files import Disk
from dojo.observers.sql import Database

LARGEST = 64 << 20  # bytes of a file that are read


@contextmanager
def _entered(link: Link, *what: Any) -> Iterator[None]:
    """Be in the block of a method of a part of the host."""
    link.ask(None, "enter_part", *what)
    try:
        yield
    finally:
        link.ask(None, "leave")


class RemoteDisk(Disk):
    """The working directory: read here, held and broken there."""

    __slots__ = ("link",)
    part = ("disk",)

    hold = asked(RemoteHold)
    fail = asked()

    def __init__(self, link: Link, directory: Path) -> None:
        super().__init__(directory)
        self.link = link

    def bytes(self, name: str) -> bytes:
        """The content of a file; empty where there is no regular file of a size to be read."""
        try:
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
            with open(os.open(self.directory / name, flags), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return b""
                return file.read(LARGEST)
        except (OSError, ValueError):
            return b""

    def fill_up_for(self, text: str) -> list[str]:
        """From now on there is no space left for a piece that holds this text."""
        self.link.ask(None, "fill_up_for", text)
        return _WithoutSpace(self.link)

    @contextmanager
    def foreign_locale(self) -> Iterator[None]:
        """A machine whose locale is not UTF-8."""
        with _entered(self.link, "disk", "foreign_locale"):
            yield


class _WithoutSpace(list[str]):
    """The files for which there was no space, as they are when somebody looks."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def __bool__(self) -> bool:
        self[:] = self._link.ask(Names, "without_space")
        return len(self) > 0


class RemoteDatabase(Database):
    """`shop.db`: read and filled here, held and broken there."""

    __slots__ = ("link",)
    part = ("database",)

    hold_changes = asked(RemoteHold)
    hold_queries = asked(RemoteHold)
    hold_step = asked(RemoteHold)
    heal = asked()

    def __init__(self, link: Link, directory: Path) -> None:
        super().__init__(directory)
        self.link = link

    def fail_queries(self, table: str, error: Exception | None = None, *, after: int = 0) -> None:
        """From now on selects from `table` fail."""
        told = [type(error).__name__, str(error)] if error is not None else None
        self.link.ask(None, "fail_queries", table, told, after)


class RemotePart:
    """A part that is all there."""

    def __init__(self, link: Link) -> None:
        self.link = link


class RemoteImageDecoder(RemotePart):
    """The place where Pillow decodes pixels."""

    part = ("image_decoder",)
    go_dark = asked()
    hold = asked(RemoteHold)


class RemoteLines(RemotePart):
    """The lines of the solution that worker threads run."""

    part = ("lines",)
    hold = asked(RemoteHold)


class RemoteClock(RemotePart):
    """Frozen time."""

    part = ("clock",)
    tick = asked()
    let_pass = asked()
    hold = asked(RemoteHold)

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self.link.ask(float, "now", on=("clock",)), UTC)


class RemoteLogs(RemotePart):
    """The records that were logged to the logger `kata`."""

    part = ("logs",)
    listen_to_all = asked()

    def __getattr__(self, name: str) -> list[str]:
        found: list[str] = self.link.ask(Names, name, on=("logs",))
        return found


class RemoteZone(RemotePart):
    """The time zone of the machine."""

    @contextmanager
    def foreign(self, hours: int = 9) -> Iterator[None]:
        """Be on a machine whose own time zone is so many hours ahead of UTC."""
        with _entered(self.link, "zone", "foreign", hours):
            yield


class RemoteSteps(RemotePart):
    """The steps of the tasks of an exchange."""

    async def of(self, exchange: Exchange) -> AsyncIterator[str]:
        """Let an exchange go on, and stop it before each step."""
        steps = self.link.ask(str, "steps_of", exchange.number)
        try:
            while step := self.link.ask(str, "next_step", steps):
                yield step
        finally:
            self.link.ask_for(None, "aclose", None, on=(steps,))


class RemoteAdded(Added):
    """A background task in the solution's process."""

    said: TaskData

    @property
    def name(self) -> str:
        """The name of its function."""
        return self.said.name

    @property
    def is_callable(self) -> bool:
        """Whether it has a function that can be called."""
        return self.said.is_callable

    @property
    def where(self) -> str:
        """The line that made it."""
        return self.said.where

    def misfit(self) -> str:
        """The fault of the function or its arguments, and how to put it right."""
        return self.said.misfit


class RemoteTasks(Tasks):
    """The background tasks that the solution has made, as they are when somebody looks."""

    link: Link

    @property
    def added(self) -> list[Added]:
        """All of them."""
        found: list[Added] = []
        for said in self.link.ask_for(dict[str, list[TaskData]], "tasks", {"made": []})["made"]:
            place = (str(self.link.file), said.lines[0]) if said.lines else None
            state = self.link.states.get(said.exchange) if said.exchange else None
            added = RemoteAdded(BackgroundTask(print), state, place, said.ran)
            added.said = said
            found.append(added)
        return found

    @added.setter
    def added(self, _value: list[Added]) -> None:
        pass

    def failed_with(self, error: BaseException) -> Added | None:
        """The background task that an exception came out of."""
        number = error.task if isinstance(error, ElsewhereError) else 0
        added = self.added if number else []
        return added[number - 1] if 0 < number <= len(added) else None

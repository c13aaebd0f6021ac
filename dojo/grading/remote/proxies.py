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

from dojo.grading.remote.asking import Later, RemoteHold, asked, asked_async
from dojo.grading.remote.errors import exception_of
from dojo.grading.remote.link import Link, parts_of
from dojo.grading.remote.messages import ErrorData, JobData, LoggedData, Names, TaskData
from dojo.harness.consumer import Job
from dojo.harness.exchange import Exchange
from dojo.harness.frames import ElsewhereError
from dojo.harness.tasks import Added, Tasks
from dojo.observers.files import Disk
from dojo.observers.logs import Logged
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
    put = asked()
    open_files = asked(Names)

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
        return Later(lambda: self.link.ask(Names, "without_space"))

    @contextmanager
    def foreign_locale(self) -> Iterator[None]:
        """A machine whose locale is not UTF-8."""
        with _entered(self.link, "disk", "foreign_locale"):
            yield


class RemoteDatabase(Database):
    """`shop.db`: read and filled here, held and broken there."""

    __slots__ = ("link",)
    part = ("database",)

    hold_changes = asked(RemoteHold)
    hold_queries = asked(RemoteHold)
    hold_step = asked(RemoteHold)
    heal = asked()
    pools = asked(int)

    def __init__(self, link: Link, directory: Path) -> None:
        super().__init__(directory)
        self.link = link

    def fail_queries(self, table: str, error: Exception | None = None, *, after: int = 0) -> None:
        """From now on selects from `table` fail."""
        self._fail("fail_queries", table, error, after)

    def fail_changes(self, table: str, error: Exception | None = None, *, after: int = 0) -> None:
        """From now on changes of `table` fail."""
        self._fail("fail_changes", table, error, after)

    def _fail(self, do: str, table: str, error: Exception | None, after: int) -> None:
        told = parts_of(error) if error is not None else None
        self.link.ask(None, "fail_statements", do, table, told, after)


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
    write = asked()
    weight = asked(int)

    def collect(self, attribute: str) -> list[Logged]:
        """A list that gets what a handler sees of each record from now on."""
        self.link.ask(None, "collect", attribute)

        def look() -> list[Logged]:
            found = self.link.ask(list[LoggedData], "collected")
            return [Logged(said.exchange, said.text, said.value) for said in found]

        return Later(look)

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

    async def of(self, exchange: Exchange, *, changes: str = "") -> AsyncIterator[str]:
        """Let an exchange go on, and stop it before each step."""
        steps = self.link.ask(str, "steps_of", exchange.number, changes)
        try:
            while step := self.link.ask(str, "next_step", steps):
                yield step
        finally:
            self.link.ask_for(None, "aclose", None, on=(steps,))


class RemoteGiven(RemotePart):
    """The functions that the stub of a kata gives."""

    part = ("given",)
    hold = asked(RemoteHold)

    def writes(self, name: str, text: str) -> list[str]:
        """Have each call of a function write a text; a list that gets the paths."""
        self.link.ask(None, "given_writes", name, text)
        return Later(lambda: self.link.ask(Names, "written"))

    def fails(self, name: str, error: Exception, written: str = "") -> None:
        """Have each call of a function fail, when it has written a text to its path."""
        self.link.ask(None, "given_fails", name, parts_of(error), written)


class RemoteConsumer(RemotePart):
    """A consumer of the solution's job queue."""

    part = ("consumer",)
    start_again = asked()
    accept_jobs = asked()
    run = asked_async(int)
    taken_by_others = asked_async(Names)

    @property
    def errors(self) -> list[BaseException]:
        """The exceptions that came out of jobs."""
        found = self.link.ask(list[ErrorData], "job_errors")
        return [exception_of(said, self.link.file) for said in found]

    def waiting(self) -> list[Job]:
        """The jobs in the queue, and then those that are due later."""
        return [_job(said) for said in self.link.ask(list[JobData], "jobs_waiting")]

    def take(self) -> Job | None:
        """Take the next job out of the queue that is due by now, if there is one."""
        found = self.link.ask(list[JobData], "take_job")
        return _job(found[0]) if found else None

    async def deliver(self, job: Job) -> None:
        """Run a job."""
        self.link.ask(None, "deliver", job.name, job.message)

    def refuse_jobs(self, error: Exception) -> None:
        """From now on the queue takes no job."""
        self.link.ask(None, "refuse_jobs", parts_of(error))


def _job(said: JobData) -> Job:
    return Job(said.name, tuple(said.arguments), None, said.message)


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
        for said in self.link.ask_for(list[TaskData], "tasks", []):
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

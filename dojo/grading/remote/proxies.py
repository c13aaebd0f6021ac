"""The specs' side: the parts of an environment, with what only the solution's process can do asked.

Each is the harness's own class where the rest of it stays what it is: files and rows are read here,
mails and calls arrive here, and responses are put together here.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from starlette.background import BackgroundTask

from dojo.doubles import mail
from dojo.doubles.http import Service, Services
from dojo.doubles.mail import MailServer, Session
from dojo.grading.remote.errors import exception_of
from dojo.grading.remote.link import Link
from dojo.grading.remote.messages import (
    Connecting,
    Ended,
    HoldData,
    MemberData,
    Names,
    Sent,
    Started,
    TaskData,
)
from dojo.harness.client import Client
from dojo.harness.current import ExchangeState
from dojo.harness.exchange import Exchange
from dojo.harness.frames import ElsewhereError
from dojo.harness.holds import LONGER, SECONDS, Hold, until
from dojo.harness.tasks import Added, Tasks
from dojo.observers.files import Disk
from dojo.observers.sql import Database

LARGEST = 64 << 20  # bytes of a file that are read


class RemoteHold(Hold):
    """A hold in the solution's process."""

    def __init__(self, link: Link, number: int, limit: int = 1) -> None:
        self.number = number
        self.limit = limit
        self.overdue = False
        self._link = link
        self._let_go = False

    def _state(self) -> HoldData:
        found: HoldData = self._link.ask(HoldData, "state_of", hold=self.number)
        return found

    @property
    def what(self) -> str:  # type: ignore[override]
        """What it holds, in words."""
        return self._state().what

    @property
    def reached(self) -> int:  # type: ignore[override]
        """How much has arrived at it."""
        return self._state().reached

    @property
    def released(self) -> bool:
        """Whether the spec has released it."""
        return self._let_go

    def release(self) -> None:
        """Let go on what it has stopped."""
        self._let_go = True
        if not self._link.gone:
            said = self._link.ask(HoldData, "release", hold=self.number)
            self.overdue = self.overdue or said.overdue

    async def until_reached(self, count: int = 1) -> None:
        """Wait until `count` of what is held have arrived."""
        self._link.ask(None, "until_reached", hold=self.number, count=count)

    def pass_on_loop(self) -> None:
        """Note that what should be held is on the event loop's thread, and let it through."""
        self._link.notice(self.number, None, True, "")

    async def stop_here_async(self, by: ExchangeState | None = None, started: str = "") -> None:
        """Stop a mail."""
        if self._let_go:
            return
        if self._link.notice(self.number, by.number if by else None, False, started):
            released = await until(lambda: self._let_go, LONGER * SECONDS)
            self.overdue = self.overdue or not released


class RemoteExchange(Exchange):
    """An exchange whose app is in another process, and whose response arrives here."""

    __slots__ = ("_ended", "_link", "_sent", "number_of_client")

    def __init__(self, client: RemoteClient, request: httpx.Request, *, crashes: bool) -> None:
        super().__init__(client, request, crashes=crashes)
        self._link = client.link
        self._ended = False
        self.number_of_client = client.number
        self._link.states[self.number] = self.state
        self._link.exchanges[self.number] = self

    def start(self, *, stop_at_response: bool) -> None:
        """Have the app begin."""
        self._link.ask(
            int,
            "begin",
            client=self.number_of_client,
            method=self._request.method,
            url=str(self._request.url),
            headers=[list(pair) for pair in self._request.headers.raw],
            body=self._request.read(),
            stop_at_response=stop_at_response,
            crashes=self._crashes,
        )

    @property
    def finished(self) -> bool:
        """Whether the app callable has returned."""
        return self._ended

    @property
    def status(self) -> int:
        """The status of the response, 0 before its start."""
        return self._status

    def take_start(self, said: Started) -> None:
        """Take the start of the response."""
        self._status = said.status
        self._headers = httpx.Headers(said.headers)

    def take_body(self, said: Sent) -> bool:
        """Take a piece of the body; whether the response is complete with it."""
        if self.responded:
            return False
        self._body += said.body
        try:
            size = int(self._headers.get("content-length", -1))
        except ValueError:
            size = -1
        return not said.more or 0 <= size <= len(self._body)

    def take_end(self, said: Ended) -> None:
        """Take the end of the app."""
        if said.raised is not None:
            self.raised = exception_of(said.raised, self._link.file)
        self._left_behind = list(said.left_behind)
        self._ended = True

    def release(self) -> None:
        """Let an exchange that stopped at its response go on to its tasks."""
        self._link.ask(None, "release_exchange", number=self.number)

    async def until_responded(self) -> Exchange:
        """Wait for the response."""
        self._link.ask(None, "until_responded", number=self.number)
        return self

    async def until_held(self) -> bool:
        """Go on until a hold stops it, or to its end; whether a hold has stopped it."""
        return bool(self._link.ask(bool, "until_held", number=self.number))

    async def until_finished(self) -> Exchange:
        """Wait for the end of the app callable, tasks included."""
        self._link.ask(None, "until_finished", number=self.number)
        return self

    def routes(self) -> list[str]:
        """The methods and paths of the app's routes."""
        return list(self._link.ask_for(Names, "routes", [], number=self.number))

    def is_served(self) -> bool:
        """Whether the app has a route for its method and path."""
        return bool(self._link.ask_for(bool, "is_served", True, number=self.number))


class RemoteClient(Client):
    """A client of the app in the solution's process."""

    __slots__ = ("link", "number")

    def __init__(self, link: Link, number: int = 0) -> None:
        super().__init__(_no_app, link.timeline)
        self.link = link
        self.number = number

    def new_exchange(self, request: httpx.Request, *, crashes: bool) -> Exchange:
        """An exchange that is not begun yet."""
        return RemoteExchange(self, request, crashes=crashes)

    async def finish_what_can(self, exchanges: list[Exchange]) -> None:
        """Let exchanges go on until only those are left that are held, or wait for a held one."""
        numbers = [exchange.number for exchange in exchanges]
        self.link.ask(None, "finish_what_can", client=self.number, numbers=numbers)

    async def give_turns(self) -> None:
        """Let everything that does not wait for anything do what it is about to do."""
        self.link.ask(None, "give_turns", client=self.number)

    def add_route(self, path: str, steps: Sequence[Any] = (), **more: Any) -> None:
        """Add a route to the app."""
        self.link.ask(
            None, "add_route", client=self.number, path=path, steps=list(steps), more=more
        )

    def let_go(self, gate: str) -> None:
        """Let go on what waits at a gate in a route that was added."""
        self.link.ask(None, "let_go", client=self.number, gate=gate)


async def _no_app(*_arguments: Any) -> None:
    """The app is in the other process."""


class RemoteRestart:
    """A server that can be started again."""

    def __init__(self, first: RemoteClient) -> None:
        self._first = first

    async def client(self) -> RemoteClient:
        """A client of the app as it is after a restart."""
        again = RemoteClient(self._first.link, self._first.link.ask(int, "restart"))
        again.numbers, again.exchanges = self._first.numbers, self._first.exchanges
        return again


class RemoteKata:
    """The module of the solution, as far as a spec asks for what is in it."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def __getattr__(self, name: str) -> Any:
        found: MemberData = self.link.ask(MemberData, "member", name=name)
        if found.kind == "value":
            return found.value

        def function(*arguments: Any) -> None:
            self.link.ask(None, "call", name=name, arguments=list(arguments))

        async def coroutine_function(*arguments: Any) -> None:
            function(*arguments)

        return coroutine_function if found.kind == "coroutine function" else function


class RemoteDisk(Disk):
    """The working directory: read here, held and broken there."""

    __slots__ = ("_link",)

    def __init__(self, link: Link, directory: Path) -> None:
        super().__init__(directory)
        self._link = link

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

    def hold(self, name: str, *, step: int = 1) -> Hold:
        """Hold the first exchange that is about to write the file `name`."""
        return RemoteHold(self._link, self._link.ask(int, "hold_file", name=name, step=step))

    def fail(self, name: str, number: int) -> None:
        """From now on writing the file `name` fails with this `errno`."""
        self._link.ask(None, "fail_file", name=name, number=number)

    def fill_up_for(self, text: str) -> list[str]:
        """From now on there is no space left for a piece that holds this text."""
        self._link.ask(None, "fill_up_for", text=text)
        return _WithoutSpace(self._link)

    @contextmanager
    def foreign_locale(self) -> Iterator[None]:
        """A machine whose locale is not UTF-8."""
        self._link.ask(None, "foreign_locale", on=True)
        try:
            yield
        finally:
            self._link.ask(None, "foreign_locale", on=False)


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

    __slots__ = ("_link",)

    def __init__(self, link: Link, directory: Path) -> None:
        super().__init__(directory)
        self._link = link

    def _held(self, do: str, **arguments: Any) -> Hold:
        return RemoteHold(self._link, self._link.ask(int, do, **arguments))

    def hold_changes(self, table: str, limit: int = 1) -> Hold:
        """Hold what is about to insert, update or delete in `table`."""
        return self._held("hold_changes", table=table, limit=limit)

    def hold_queries(self, table: str, limit: int = 1, *, after: int = 0) -> Hold:
        """Hold what is about to select from `table`."""
        return self._held("hold_queries", table=table, limit=limit, after=after)

    def hold_step(self, number: int, *, in_task: bool = True) -> Hold:
        """Hold the first exchange that uses the database from now on, at one of its steps."""
        return self._held("hold_step", number=number, in_task=in_task)

    def fail_queries(self, table: str, error: Exception | None = None, *, after: int = 0) -> None:
        """From now on selects from `table` fail."""
        told = [type(error).__name__, str(error)] if error is not None else None
        self._link.ask(None, "fail_queries", table=table, error=told, after=after)

    def heal(self) -> None:
        """From now on nothing fails any more."""
        self._link.ask(None, "heal")


class RemoteSession(Session):
    """A connection to the mail server, by the port that the solution has connected from."""

    port = 0
    link: Link

    @property
    def closed(self) -> bool:
        """Whether the client has closed its socket."""
        return bool(self.link.ask(bool, "is_closed", port=self.port))


class RemoteMailServer(MailServer):
    """The mail server, whose clients are in another process."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        link.connect = self.connecting

    def hold(self, limit: int = 1) -> Hold:
        """Be slow: keep the next `limit` mails waiting until released."""
        number = self._link.ask(int, "hold", what="the mail", limit=limit)
        self._hold = RemoteHold(self._link, number, limit)
        return self._hold

    def hold_connections(self, limit: int = 1) -> Hold:
        """Be slow to accept: keep the next `limit` connections waiting until released."""
        number = self._link.ask(int, "hold_connections", limit=limit)
        return RemoteHold(self._link, number, limit)

    def connecting(self, said: Connecting) -> dict[str, Any]:
        """Say where to connect to, and note the session."""
        if self._down:
            return {"down": True}
        session = RemoteSession(
            socket.socket(),
            self._link.by(said),
            said.on_loop,
            places=self._link.places(said),
            origin=said.origin,
        )
        session.port, session.link = said.port, self._link
        self.sessions.append(session)
        host, port = mail.address()
        return {"down": False, "host": host, "port": port}

    def session(self, port: int) -> Session | None:
        """The last session of a client at this port."""
        of_port = [s for s in self.sessions if isinstance(s, RemoteSession) and s.port == port]
        return of_port[-1] if of_port else None


class RemoteServices(Services):
    """The services, which are called from another process."""

    __slots__ = ("_holds", "_link")

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        link.services = self
        link.hold_of = lambda service: getattr(service, "number", None)

    def on(self, method: str, url: str) -> Service:
        """A service that replies 200 with `{}` to `method url` until told otherwise."""
        service = RemoteService(method, url)
        service.link = self._link
        self._routes.append(service)
        return service


class RemoteService(Service):
    """A service whose calls are held in the solution's process."""

    link: Link
    number: int | None = None

    def hold(self, limit: int = 1) -> Hold:
        """Keep the next `limit` calls waiting for the reply until released."""
        what = f"the call {self.method} {self.url}"
        self.number = self.link.ask(int, "hold", what=what, limit=limit)
        assert self.number is not None
        return RemoteHold(self.link, self.number, limit)


class RemoteImageDecoder:
    """The place where Pillow decodes pixels."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def go_dark(self) -> None:
        """From now on no pixels can be decoded."""
        self._link.ask(None, "go_dark")

    def hold(self, limit: int = 1) -> Hold:
        """Hold the next `limit` images just before their pixels are decoded."""
        return RemoteHold(self._link, self._link.ask(int, "hold_image", limit=limit), limit)


class RemoteSteps:
    """The steps of the tasks of an exchange."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def of(self, exchange: Exchange) -> AsyncIterator[str]:
        """Let an exchange go on, and stop it before each step."""
        steps = self._link.ask(int, "steps_of", number=exchange.number)
        try:
            while step := self._link.ask(str, "next_step", steps=steps):
                yield step
        finally:
            self._link.ask_for(None, "end_steps", None, steps=steps)


class RemoteLines:
    """The lines of the solution that worker threads run."""

    def __init__(self, link: Link) -> None:
        self._link = link
        link.ask(None, "trace_lines")

    def hold(self, number: int) -> Hold:
        """Hold the first exchange that comes to a line from now on, before one of its lines."""
        return RemoteHold(self._link, self._link.ask(int, "hold_line", number=number))


class RemoteZone:
    """The time zone of the machine."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @contextmanager
    def foreign(self, hours: int = 9) -> Iterator[None]:
        """Be on a machine whose own time zone is so many hours ahead of UTC."""
        self._link.ask(None, "zone", hours=hours)
        try:
            yield
        finally:
            self._link.ask(None, "zone", hours=None)


class RemoteLogs:
    """The records that were logged to the logger `kata`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def listen_to_all(self) -> None:
        """From now on leave no record of the solution out because its level is low."""
        self._link.ask(None, "listen_to_all")

    def __getattr__(self, name: str) -> list[str]:
        found: dict[str, list[str]] = self._link.ask(dict[str, Names], "logs")
        return found[name]


class RemoteClock:
    """Frozen time."""

    def __init__(self, link: Link) -> None:
        self._link = link
        link.ask(None, "freeze")

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self._link.ask(float, "now"), UTC)

    def tick(self, seconds: float) -> None:
        """Move the wall clock on."""
        self._link.ask(None, "tick", seconds=seconds)

    def let_pass(self, seconds: float) -> None:
        """Put on the wall clock, all stop-watches, and the clocks of event loops."""
        self._link.ask(None, "let_pass", seconds=seconds)

    def hold(self, limit: int = 1) -> Hold:
        """Hold the next sleeps, before the time is moved on."""
        return RemoteHold(self._link, self._link.ask(int, "hold_sleep", limit=limit), limit)

    def thaw(self) -> None:
        """Let the time go on."""
        self._link.ask(None, "thaw")


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

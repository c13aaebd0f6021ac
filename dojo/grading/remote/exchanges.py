"""The specs' side: exchanges whose app is in another process, and whose responses arrive here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from dojo.grading.remote.asking import asked, asked_async
from dojo.grading.remote.errors import exception_of
from dojo.grading.remote.link import Link
from dojo.grading.remote.messages import Ended, MemberData, Names, Sent, Started
from dojo.harness.client import Client
from dojo.harness.exchange import Exchange
from dojo.harness.holds import SECONDS, clock

TURN = 0.005  # seconds


class RemoteExchange(Exchange):
    """An exchange whose app is in another process, and whose response arrives here."""

    __slots__ = ("_ended", "link", "number_of_client")

    release = asked()
    until_held = asked_async(bool)

    def __init__(self, client: RemoteClient, request: httpx.Request, **how: Any) -> None:
        super().__init__(client, request, **how)
        self.link = client.link
        self._ended = False
        self.number_of_client = client.number
        self.link.states[self.number] = self.state
        self.link.exchanges[self.number] = self

    def start(self, *, stop_at_response: bool) -> None:
        """Have the app begin."""
        self.link.ask(
            int,
            "begin",
            self.number_of_client,
            [self._request.method, str(self._request.url)],
            [list(pair) for pair in self._request.headers.raw],
            stop_at_response=stop_at_response,
            crashes=self._crashes,
            pieces=list(self._pieces),
            leaves_after=self._leaves_after,
            pauses_after=self._pauses_after,
        )

    @property
    def part(self) -> tuple[str, int]:
        """The exchange that it stands for."""
        return "exchange", self.number

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
        if self.responded and not self.gone:
            return False
        self._body += said.body
        self.pieces += bool(said.body)
        if self.gone:
            return False
        try:
            size = int(self._headers.get("content-length", -1))
        except ValueError:
            size = -1
        return not said.more or 0 <= size <= len(self._body)

    def take_end(self, said: Ended) -> None:
        """Take the end of the app."""
        if said.raised is not None:
            self.raised = exception_of(said.raised, self.link.file)
        self._left_behind = list(said.left_behind)
        self._ended = True

    async def until_responded(self) -> Exchange:
        """Wait for the response."""
        self.link.ask(None, "until_responded", on=self.part)
        return self

    async def until_paused(self) -> Exchange:
        """Wait until the client reads no further."""
        self.link.ask(None, "until_paused", on=self.part)
        return self

    async def until_finished(self) -> Exchange:
        """Wait for the end of the app callable, tasks included."""
        self.link.ask(None, "until_finished", on=self.part)
        return self

    def routes(self) -> list[str]:
        """The methods and paths of the app's routes."""
        return list(self.link.ask_for(Names, "routes", [], on=self.part))

    def is_served(self) -> bool:
        """Whether the app has a route for its method and path."""
        return bool(self.link.ask_for(bool, "is_served", True, on=self.part))


class RemoteClient(Client):
    """A client of the app in the solution's process."""

    __slots__ = ("link", "number")

    give_turns = asked_async()
    add_route = asked()
    let_go = asked()
    limit_worker_threads = asked()

    def __init__(self, link: Link, number: int = 0) -> None:
        super().__init__(_no_app, link.timeline)
        self.link = link
        self.number = number

    def new_exchange(self, request: httpx.Request, **how: Any) -> Exchange:
        """An exchange that is not begun yet."""
        return RemoteExchange(self, request, **how)

    async def until(self, condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
        """Wait until something is so, at most so long in real time; whether it is."""
        return await until_so(self.link, condition, seconds)

    @property
    def part(self) -> tuple[str, int]:
        """The client that it stands for."""
        return "client", self.number

    async def finish_what_can(self, exchanges: list[Exchange]) -> None:
        """Let exchanges go on until only those are left that are held, or wait for a held one."""
        numbers = [exchange.number for exchange in exchanges]
        self.link.ask(None, "finish_what_can", self.number, numbers)


async def until_so(link: Link, condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Let the host go on until something is so, at most so long; whether it is."""
    end = clock() + seconds
    while not condition():
        if clock() > end:
            return False
        link.ask(None, "go_on", TURN)
    return True


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
    """The module of the solution, or something in it, as far as a spec asks for it."""

    def __init__(self, link: Link, path: str = "") -> None:
        self.link = link
        self._path = path

    def __getattr__(self, name: str) -> Any:
        path = f"{self._path}{name}"
        found: MemberData = self.link.ask(MemberData, "member", path)
        if found.kind == "value":
            return found.value
        if found.kind == "object":
            return RemoteKata(self.link, f"{path}.")

        def function(*arguments: Any) -> Any:
            return self.link.ask(MemberData, "call", path, *arguments).value

        async def coroutine_function(*arguments: Any) -> Any:
            return function(*arguments)

        return coroutine_function if found.kind == "coroutine function" else function

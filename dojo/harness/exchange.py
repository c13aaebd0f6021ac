"""The exchange: one request and its response, driven at the ASGI level, with two moments.

*Responded* is when the last byte of the body has been handed to `send`; *finished* is when the app
callable has returned. Between them background tasks run. The driver is as strict as uvicorn is:
`receive` says `http.disconnect` once the response is complete, and `send` refuses messages that
make no sense. Before an exchange counts as responded, `send` gives everything that the app has
started by itself the chance to run, so that a race is lost where a spec looks.

The protocol is https://asgi.readthedocs.io/en/latest/specs/www.html, version 2.3 as uvicorn
speaks it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import httpx

from dojo.harness import spawned
from dojo.harness.current import ExchangeState, here, task_works_for
from dojo.harness.holds import SECONDS, held, standing, until
from dojo.harness.running import where_it_is
from dojo.harness.time_limit import DidNotEndError
from dojo.harness.timeline import Timeline

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PATIENCE = 0.4


async def _at_once() -> None:
    """What a server does between the response and the tasks: nothing."""


async def record_exchange(
    app: App,
    state: ExchangeState,
    timeline: Timeline,
    scope: Scope,
    receive: Receive,
    send: Send,
    at_response: Callable[[], Awaitable[object]] = _at_once,
) -> None:
    """Run one exchange of `app` under any server, noting its events on the timeline.

    `at_response` is awaited between the response and what comes after it.
    """
    token = here.set(state)
    task_works_for(asyncio.current_task(), state)
    expected: int | None = None
    sent = 0
    status = 0
    state.name = f"{scope['method']} {scope['path']}"
    timeline.record("request", state.name)
    timeline.in_flight.append(state)

    async def noting_send(message: Message) -> None:
        nonlocal expected, sent, status
        await send(message)
        if message["type"] == "http.response.start":
            status = int(message["status"])
            for name, value in message.get("headers", ()):
                if bytes(name).lower() == b"content-length":
                    expected = int(value)
        elif message["type"] == "http.response.body" and not state.responded:
            sent += len(message.get("body", b""))
            if not message.get("more_body", False) or (expected is not None and sent >= expected):
                timeline.record("response", f"{status} to {state.name}")
                state.responded = True
                await at_response()

    try:
        await app(scope, receive, noting_send)
    except Exception as error:
        timeline.record("raised", f"{type(error).__name__}: {error}"[:120])
        raise
    finally:
        timeline.in_flight.remove(state)
        timeline.record("finished", state.name, by=state)
        here.reset(token)


class Status(int):
    """A status that knows the exchange whose it is, and whether a spec has found it to be right."""

    exchange: Exchange | None = None
    expected = False

    def __eq__(self, other: object) -> bool:
        same = int(self) == other
        self.expected = self.expected or same
        return same

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__


class Exchange:
    """One request and its response."""

    __slots__ = (
        "_client",
        "_complete",
        "_crashes",
        "_go_on",
        "_left_behind",
        "_request",
        "_started",
        "_task",
        "body",
        "headers",
        "raised",
        "state",
        "status",
    )

    def __init__(self, client: Client, request: httpx.Request, *, crashes: bool) -> None:
        self.state = ExchangeState(next(client.numbers))
        self.status = Status(0)
        self.headers = httpx.Headers()
        self.body = b""
        self.raised: BaseException | None = None
        self._left_behind: list[str] = []
        self._client = client
        self._request = request
        self._crashes = crashes
        self._started = False
        self._complete = asyncio.Event()
        self._go_on = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def number(self) -> int:
        return self.state.number

    @property
    def finished(self) -> bool:
        return self._task is not None and self._task.done()

    @property
    def app(self) -> App:
        return self._client.app

    @property
    def request(self) -> httpx.Request:
        return self._request

    @property
    def name(self) -> str:
        """Its method and path."""
        return self._name

    @property
    def may_raise(self) -> bool:
        """Whether the spec wants the app to raise."""
        return self._crashes

    @property
    def responded(self) -> bool:
        return self.state.responded

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def start(self, *, stop_at_response: bool) -> None:
        if not stop_at_response:
            self._go_on.set()
        self._client.timeline.under_way += 1
        self._task = asyncio.get_running_loop().create_task(self._run())

    def release(self) -> None:
        """Let an exchange that stopped at its response go on to its tasks."""
        self._go_on.set()

    async def until_responded(self) -> Exchange:
        """Wait for the response.

        Raises `AssertionError` where the client would wait for something that is held.
        """
        await until(lambda: self.responded or self.finished or held(self.number) is not None)
        if not self.responded and not self.finished:
            raise AssertionError(self._why_no_response_yet())
        if self.finished or self.status >= 500:
            await self.until_finished()
        return self

    async def until_held(self) -> bool:
        """Go on until a hold stops it, or to its end; whether it is held."""
        self.release()
        await until(lambda: self.finished or held(self.number) is not None)
        return held(self.number) is not None

    async def until_finished(self) -> Exchange:
        """Wait for the end of the app callable, tasks included.

        Raises `AssertionError` where the app did not respond properly, or left something running
        behind it.
        """
        self.release()
        if not await until(lambda: self.finished, seconds=2 * SECONDS):
            done = "responded, but its tasks did not end" if self.responded else "did not respond"
            raise DidNotEndError(
                f"{self._name} {done} within {2 * SECONDS:g} s: {where_it_is()[0]}"
            )
        self._check_raised()
        if self.left_behind:
            raise AssertionError(self.left_behind)
        return self

    @property
    def left_behind(self) -> str:
        """What it has left running behind it, as a sentence; empty where there is nothing."""
        if not self._left_behind:
            return ""
        return (
            f"left behind by {self._name}: {', '.join(self._left_behind)}, still running when "
            "the exchange had finished. Nobody would wait for it or see it fail: "
            "let a background task do the work"
        )

    def _why_no_response_yet(self) -> str:
        hold = held(self.number)
        if hold is None:
            other = standing()
            if other is None:
                return f"{self._name} got no response within {SECONDS:g} s: {where_it_is()[0]}"
            return (
                f"{self._name} got no response while {other.what} took its time in another "
                "request: one client must not wait for what another one has asked for"
            )
        if hold.origin:
            return (
                f"{hold.what} began before the response of {self._name}, in {hold.origin}: nobody "
                "waits for it, and nobody sees it fail. Let a background task do the work"
            )
        return (
            f"{self._name} got no response while {hold.what} took its time: "
            "the client has to wait for it"
        )

    async def cancel(self) -> None:
        """Break it off, whatever it is doing."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=0.5)

    @property
    def _name(self) -> str:
        return (
            f"{self._request.method} {self._request.url.raw_path.decode('ascii').partition('?')[0]}"
        )

    def _check_raised(self) -> None:
        assert self._task is not None
        stopped = self._task.exception()
        if isinstance(stopped, KeyboardInterrupt):  # which the event loop has raised already
            raise asyncio.CancelledError
        if stopped is not None:
            raise stopped
        no_response = self.no_response()
        if no_response is not None:
            raise no_response

    def no_response(self) -> NoResponseError | None:
        """Why a finished exchange has no proper response; None where it has one."""
        error = self.raised
        may_raise = self._crashes and not isinstance(error, NotImplementedError)
        if not self.finished or (
            self.responded and (error is None or may_raise or self.status < 500)
        ):
            return None
        if error is None:
            return NoResponseError(f"{self._name} ended without a complete response", None)
        if isinstance(error, NotImplementedError):
            what = "is not written yet: it raises NotImplementedError"
        else:
            what = f"raised {type(error).__name__} instead of sending a response: {error}"[:1_500]
        return NoResponseError(f"{self._name} {what}", error)

    async def _run(self) -> None:
        client = self._client
        spawned.expect(self.state)
        try:
            await record_exchange(
                client.app,
                self.state,
                client.timeline,
                self._scope(),
                self._receive,
                self._send,
                self._go_on.wait,
            )
        except (Exception, SystemExit) as error:
            self.raised = error
        finally:
            self._left_behind = spawned.left_behind(self.state)
            client.timeline.under_way -= 1

    def _scope(self) -> Scope:
        url = self._request.url
        raw_path = url.raw_path.partition(b"?")[0]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50000 + self.number),
            "scheme": "http",
            "method": self._request.method,
            "root_path": "",
            "path": unquote(raw_path.decode("ascii")),
            "raw_path": raw_path,
            "query_string": url.query,
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "state": dict(self._client.state),
        }

    async def _receive(self) -> Message:
        if not self._started and not self._complete.is_set():
            self._started = True
            return {
                "type": "http.request",
                "body": self._request.read(),
                "more_body": False,
            }
        await self._complete.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._complete.is_set():
            raise RuntimeError(f"{message['type']} was sent after the response was complete")
        if message["type"] == "http.response.start":
            if self.status:
                raise RuntimeError("http.response.start was sent twice")
            self.status = Status(message["status"])
            self.status.exchange = self
            self.headers = httpx.Headers(list(message.get("headers", ())))
            await spawned.settle(self.state)
            return
        if message["type"] != "http.response.body" or not self.status:
            raise RuntimeError(f"{message['type']} was sent where it makes no sense")
        # Whatever kind of bytes it is, the body is bytes and nothing that agrees to everything.
        self.body = b"".join((self.body, bytes(message.get("body", b""))))
        last = not message.get("more_body", False)
        if last or len(self.body) >= int(self.headers.get("content-length", len(self.body) + 1)):
            await spawned.settle(self.state)
        if last:
            self._complete.set()


class NoResponseError(AssertionError):
    """The app raised instead of sending a response; `cause` is what it raised."""

    def __init__(self, message: str, cause: BaseException | None) -> None:
        super().__init__(message)
        self.cause = cause


class Client:
    """Sends requests to an app, one exchange each.

    Requests are built as httpx builds them.
    """

    __slots__ = (
        "_patience",
        "app",
        "exchanges",
        "numbers",
        "state",
        "timeline",
    )

    def __init__(self, app: App, timeline: Timeline) -> None:
        self.app = app
        self.timeline = timeline
        self.numbers = itertools.count(1)
        self.state: dict[str, Any] = {}
        self.exchanges: list[Exchange] = []
        self._patience = PATIENCE

    def begin(
        self,
        method: str,
        url: str,
        *,
        stop_at_response: bool = False,
        crashes: bool = False,
        **content: Any,
    ) -> Exchange:
        """Start an exchange and go on at once.

        With `stop_at_response` it stops at its response until `release` or `until_finished`;
        with `crashes` the app may raise. `content` is what `httpx.Request` takes: `json`,
        `params`, `data`, `files`, `headers`.
        """
        request = httpx.Request(method, f"http://testserver{url}", **content)
        exchange = Exchange(self, request, crashes=crashes)
        self.exchanges.append(exchange)
        exchange.start(stop_at_response=stop_at_response)
        return exchange

    async def request(self, method: str, url: str, **options: Any) -> Exchange:
        """Run an exchange from its request to its end."""
        return await self.begin(method, url, **options).until_finished()

    async def get(self, url: str, **options: Any) -> Exchange:
        return await self.request("GET", url, **options)

    async def post(self, url: str, **options: Any) -> Exchange:
        return await self.request("POST", url, **options)

    @asynccontextmanager
    async def responded(self, method: str, url: str, **options: Any) -> AsyncIterator[Exchange]:
        """Stop an exchange at its response for the length of the block; it has finished after the
        block."""
        exchange = self.begin(method, url, stop_at_response=True, **options)
        await exchange.until_responded()
        try:
            yield exchange
        finally:
            exchange.release()
        await exchange.until_finished()

    async def finish_what_can(self, exchanges: list[Exchange]) -> None:
        """Let exchanges go on until all have finished but those that are held, and those that wait
        for these.

        A solution in which one was waited for in vain is waited for only briefly from then on.
        """
        for exchange in exchanges:
            exchange.release()

        def under_way() -> int:
            return sum(not e.finished and held(e.number) is None for e in exchanges)

        left = under_way()

        def fewer() -> bool:
            return under_way() < left

        while left and await until(fewer, seconds=self._patience):
            left = under_way()
        if left:
            self._patience = PATIENCE / 10

    async def give_turns(self) -> None:
        """Let everything that does not wait for anything do what it is about to do."""
        for exchange in self.exchanges:
            if not exchange.finished:
                await spawned.settle(exchange.state)

    async def close(self) -> None:
        """End what is still under way: let it go on for a moment, then cancel it."""
        for exchange in self.exchanges:
            exchange.release()
        if not await until(lambda: all(e.finished for e in self.exchanges), seconds=0.5):
            for exchange in self.exchanges:
                await exchange.cancel()

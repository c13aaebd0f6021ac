"""Stand-ins for HTTP services: they reply, fail, fall silent or wait; other calls are refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import httpcore
import httpx
import respx
from respx.mocks import HTTPCoreMocker

from dojo.doubles.calls import Call
from dojo.doubles.connection_pool import connection_for, kept
from dojo.doubles.under_way import CallsUnderWay
from dojo.harness.current import ExchangeState, current_exchange, current_timeline
from dojo.harness.frames import places_here
from dojo.harness.holds import Hold, turns, until
from dojo.harness.loop_time import let_time_limits_run_out
from dojo.harness.timeline import MADE

AWAITED = "dojo.awaited"

Reply = int | httpx.Response | Exception | Callable[[], Exception | httpx.Response]
Limit = Literal["connect", "read", "write", "pool"]

TIMEOUTS: dict[Limit, type[httpx.TimeoutException]] = {
    "connect": httpx.ConnectTimeout,
    "read": httpx.ReadTimeout,
    "write": httpx.WriteTimeout,
    "pool": httpx.PoolTimeout,
}


def silence(seconds: float = 5.0) -> Exception:
    """A reply: none in time."""
    return httpx.ReadTimeout(f"no response within {seconds:g} s")


def timeout(limit: Limit) -> Callable[[], Exception]:
    """A reply: that time limit is over; the message is empty, as most of httpx's own are."""
    return lambda: TIMEOUTS[limit]("")


def unreachable() -> Exception:
    """A reply: nothing listens there."""
    return httpx.ConnectError("connection refused")


def broken(during: Literal["read", "write"] = "read") -> Callable[[], Exception]:
    """A reply: the connection breaks off while the request is written, or the response read."""
    if during == "write":
        return lambda: httpx.WriteError("broken pipe")
    return lambda: httpx.ReadError("connection reset by peer")


def hung_up() -> Exception:
    """A reply: the connection is closed in good order, and there was no response."""
    return httpx.RemoteProtocolError("Server disconnected without sending a response.")


def broken_body(status: int) -> Callable[[], httpx.Response]:
    """A reply: a status and the first bytes of a body, and then the connection breaks off."""
    return lambda: httpx.Response(status, headers={"content-length": "100"}, stream=_Broken())


class _Broken(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body of which only the beginning arrives."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"{"
        raise _incomplete()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        raise _incomplete()


def _incomplete() -> Exception:
    return httpx.RemoteProtocolError(
        "peer closed connection without sending complete message body "
        "(received 1 bytes, expected 100)"
    )


@dataclass
class Service:
    """One route: what was called, and how it replies (the last reply is repeated)."""

    method: str
    url: str
    replies: list[Reply] = field(default_factory=lambda: [200])
    calls: list[Call] = field(default_factory=list)
    endless: bool = False
    _hold: Hold | None = None

    def replies_with(self, *replies: Reply) -> Service:
        """Set the replies.

        Each is a status, a whole response, an exception, or a function that makes one of the last
        two.
        """
        self.replies = list(replies)
        return self

    def hold(self, limit: int = 1) -> Hold:
        """Keep the next `limit` calls waiting for the reply until released."""
        self._hold = Hold(f"the call {self.method} {self.url}", limit)
        return self._hold

    def reply_to(
        self, request: httpx.Request, each: CallsUnderWay | None = None
    ) -> httpx.Response | Awaitable[httpx.Response]:
        """Note a call, and reply to it; an awaitable where the caller awaits the reply.

        `each` holds the calls of all services.
        """
        reply = self.note(request, current_exchange())
        hold = each.arrive(request.method, str(request.url)) if each else self._hold
        return self.reply_with(reply, request, hold)

    def note(
        self,
        request: httpx.Request,
        by: ExchangeState | None,
        at: datetime | None = None,
        **how: Any,
    ) -> Reply:
        """Note a call of an exchange; the reply to it. `how` is what `Timeline.record` takes."""
        reply = self.replies[min(len(self.calls), len(self.replies) - 1)]
        self.calls.append(
            Call(
                request.method,
                str(request.url),
                request.headers,
                request.content,
                by.number if by else None,
                at or datetime.now(UTC),
            )
        )
        timeline = current_timeline()
        if timeline is not None:
            timeline.record(
                "call",
                f"{request.method} {request.url}, {_named(reply)}",
                by=by,
                blocking=not request.extensions.get(AWAITED),
                **{"places": places_here(), **how},
            )
        return reply

    def reply_with(
        self, reply: Reply, request: httpx.Request, hold: Hold | None
    ) -> httpx.Response | Awaitable[httpx.Response]:
        """Reply once no hold keeps the call waiting; an awaitable where the caller awaits it."""
        if request.extensions.get(AWAITED):
            return self._reply_later(request, reply, hold)
        if hold is not None:
            hold.stop_here()
        return self._reply(request, reply)

    async def _reply_later(
        self, request: httpx.Request, reply: Reply, hold: Hold | None
    ) -> httpx.Response:
        if hold is not None:
            with kept(request, hold):
                await hold.stop_here_async()
        global _replies
        if would_wait_for_ever(request, reply):
            await _others_to_end()
            let_time_limits_run_out()
        await turns()
        _replies += 1
        return self._reply(request, reply)

    def _reply(self, request: httpx.Request, reply: Reply) -> httpx.Response:
        if isinstance(reply, int):
            return httpx.Response(reply, json={})
        made = made_of(reply)
        if isinstance(made, httpx.Response):
            return made
        error = made
        if would_wait_for_ever(request, reply):
            self.endless = True
            error = WaitsForEverError(f"{request.method} {request.url} would wait for ever")
        if isinstance(error, httpx.RequestError):
            error.request = request
        raise error


_replies = 0
QUIET = 0.1  # seconds without a reply, after which no other call is under way


async def _others_to_end() -> None:
    """Wait until no other call gets its reply any more: its time limit must not run out."""

    def replied_since(known: int) -> bool:
        return _replies != known

    while await until(partial(replied_since, _replies), QUIET):
        pass


class WaitsForEverError(httpx.ReadTimeout, TimeoutError):
    """A call without a time limit reached a service that never replies."""


def made_of(reply: httpx.Response | Exception | Callable[[], Exception | httpx.Response]) -> Any:
    """A reply, or what a function makes as one."""
    return reply if isinstance(reply, httpx.Response | Exception) else reply()


def _limit_of(reply: Reply) -> Limit | None:
    """Which time limit of httpx's a reply exceeds, if any."""
    if isinstance(reply, int):
        return None
    made = made_of(reply)
    return next((limit for limit, kind in TIMEOUTS.items() if isinstance(made, kind)), None)


def would_wait_for_ever(request: httpx.Request, reply: Reply) -> bool:
    """Whether a request has no limit of httpx's for what this reply keeps it waiting for.

    To wait for a free connection without a limit is no fault: each call that has one ends.
    """
    limit = _limit_of(reply)
    limits = request.extensions.get("timeout") or {}
    return limit not in (None, "pool") and limits.get(limit) is None


def _named(reply: Reply) -> str:
    if isinstance(reply, int):
        return _status_named(reply)
    made = made_of(reply)
    if isinstance(made, httpx.Response):
        if isinstance(made.stream, _Broken):
            return f"{made.status_code}, cut off in its body: {MADE}"
        return _status_named(made.status_code)
    if not isinstance(made, httpx.TransportError):
        return f"{type(made).__name__}: {MADE}"
    told = "no response in time" if _limit_of(reply) == "read" else _TOLD.get(type(made))
    return f"{told or 'not reachable'}: {MADE}"


def _status_named(status: int) -> str:
    return str(status) if 200 <= status < 300 else f"{status}: {MADE}"


_TOLD: dict[type[Exception], str] = {
    httpx.WriteTimeout: "request not sent in time",
    httpx.PoolTimeout: "no free connection in time",
    httpx.ReadError: "connection broken off",
    httpx.WriteError: "connection broken off",
    httpx.RemoteProtocolError: "connection closed without a response",
}


class Services:
    """All services that one spec knows.

    Any other call is refused by name.
    """

    __slots__ = (
        "_each",
        "_routes",
        "refused",
    )

    def __init__(self) -> None:
        self._each: CallsUnderWay | None = None
        self._routes: list[Service] = []
        self.refused: list[str] = []

    def on(self, method: str, url: str) -> Service:
        """A service that replies 200 with `{}` to `method url` until told otherwise."""
        service = Service(method, url)
        self._routes.append(service)
        return service

    def hold_each(self) -> CallsUnderWay:
        """Hold each call from now on, whichever service it is for, with a hold of its own."""
        self._each = CallsUnderWay()
        return self._each

    def reply_to(self, request: httpx.Request) -> httpx.Response | Awaitable[httpx.Response]:
        """Have the service reply that a request is meant for; refuse what no service expects."""
        return self.meant_by(request).reply_to(request, self._each)

    def meant_by(self, request: httpx.Request, by: ExchangeState | None = None) -> Service:
        """The service that a request of an exchange is meant for.

        Raises `httpx.ConnectError` where no service expects it.
        """
        for service in self._routes:
            if (service.method, service.url) == (request.method, str(request.url)):
                return service
        what = f"{request.method} {request.url}"
        self.refused.append(what)
        timeline = current_timeline()
        if timeline is not None:
            timeline.record("refused", what, by=by)
        known = ", ".join(f"{s.method} {s.url}" for s in self._routes) or "none"
        raise httpx.ConnectError(
            f"the dojo lets nothing out: no service of this spec is called {what} (known: {known})",
            request=request,
        )


class _Mocker(HTTPCoreMocker):
    """The replacements that respx makes for httpcore; they also say whether the caller awaits.

    A call by an `httpx.AsyncClient` waits until one of the client's connections is free.
    """

    name = "dojo"

    @classmethod
    async def _send_async_request(
        cls, httpx_request: httpx.Request, *, target_spec: Any, instance: Any, **arguments: Any
    ) -> Any:
        async def send() -> Any:
            return await super(_Mocker, cls)._send_async_request(  # type: ignore[no-untyped-call]
                httpx_request, target_spec=target_spec, instance=instance, **arguments
            )

        if _services is None or not isinstance(instance, httpcore.AsyncConnectionPool):
            return await send()
        async with connection_for(httpx_request, instance):
            return await send()

    @classmethod
    def handler(cls, httpx_request: httpx.Request) -> httpx.Response:
        httpx_request.extensions[AWAITED] = False
        with _without_a_circle():
            return super().handler(httpx_request)  # type: ignore[no-untyped-call,no-any-return]

    @classmethod
    async def async_handler(cls, httpx_request: httpx.Request) -> httpx.Response:
        httpx_request.extensions[AWAITED] = True
        with _without_a_circle():
            return await super().async_handler(httpx_request)  # type: ignore[no-untyped-call,no-any-return]


@contextmanager
def _without_a_circle() -> Iterator[None]:
    """Take from an exception the cause that respx gives it, whose own cause it is.

    What shows all causes of an exception, as rich does, would never end.
    """
    try:
        yield
    except Exception as error:
        error.__context__ = None
        raise error from None


_services: Services | None = None


def use(services: Services | None) -> None:
    """Make `services` the ones in force."""
    global _services
    _services = services
    _router.reset()


def _reply_to(request: httpx.Request) -> Any:
    if _services is None:
        return request  # pass it through: no spec is running
    return _services.reply_to(request)


_router = respx.MockRouter(assert_all_called=False)
_router.route().mock(side_effect=_reply_to)
_Mocker.register(_router)


def mocked(real: Callable[..., Any]) -> Callable[..., Any]:
    """In place of a method by which httpcore sends a request: the services of a spec reply."""
    replacement: Callable[..., Any] = _Mocker.mock(real)  # type: ignore[no-untyped-call]
    return replacement

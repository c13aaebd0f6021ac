"""The solution's side: parts of its environment that tell the process of the specs what happens.

Each of them asks and waits, so that what happens in two processes has one order.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Awaitable
from dataclasses import asdict
from typing import Any

import httpx

from dojo.doubles import network
from dojo.doubles.http import AWAITED, Reply, Service, Services
from dojo.doubles.mail import MailServer
from dojo.grading.remote.described import TEXT, error_data
from dojo.grading.remote.replies import made_reply
from dojo.grading.remote.wire import GoneError, Wire
from dojo.harness.asgi import Message
from dojo.harness.client import Client
from dojo.harness.current import ExchangeState, current_exchange, current_timeline, origin
from dojo.harness.exchange import Exchange
from dojo.harness.frames import Place, places_here
from dojo.harness.holds import Hold
from dojo.harness.timeline import MADE, Event, Timeline


class Teller:
    """The line on which the process of a solution says what happens in it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def tell(self, say: str, **what: Any) -> Any:
        """Say something, and wait for the reply; None where nobody listens any more."""
        with contextlib.suppress(GoneError):
            return self._wire.ask({"say": say, **what})
        return None


def lines_of(places: tuple[Place, ...]) -> list[int]:
    """The numbers of lines of the solution."""
    return [line for _, line in places][:100]


def doing(by: ExchangeState | None) -> dict[str, Any]:
    """Where the calling code runs, and for which exchange."""
    timeline = current_timeline()
    return {
        "exchange": by.number if by else None,
        "on_loop": timeline is not None and timeline.on_loop(),
        "lines": lines_of(places_here()),
        "origin": origin.get()[:TEXT],
    }


class TellingTimeline(Timeline):
    """A timeline whose events are told.

    Responses are not: the other process sees them itself.
    """

    teller: Teller

    def _keep(self, event: Event) -> None:
        super()._keep(event)
        if self.events[-1] is event and event.kind != "response":
            self.teller.tell(
                "event",
                kind=event.kind[:100],
                detail=event.detail[:TEXT],
                exchange=event.exchange,
                on_loop=event.on_loop,
                blocking=event.blocking,
                in_middleware=event.in_middleware,
                in_stream=event.in_stream,
                lines=lines_of(event.places),
                origin=event.origin[:TEXT],
            )

    def note_error(self, error: BaseException, became: str) -> None:
        """Keep the traceback of an exception, and tell it."""
        known = len(self.errors)
        super().note_error(error, became)
        for traceback in self.errors[known:]:
            self.teller.tell("error", traceback=asdict(traceback))


class TellingExchange(Exchange):
    """An exchange that hands on each message of the app as it is sent."""

    __slots__ = ("_teller",)

    def tell_by(self, teller: Teller) -> TellingExchange:
        """Say who tells what it sends."""
        self._teller = teller
        return self

    async def _send(self, message: Message) -> None:
        gone = self.gone
        await super()._send(message)
        if gone:
            return
        if message["type"] == "http.response.start":
            self._teller.tell(
                "start",
                exchange=self.number,
                status=self._status,
                headers=[list(pair) for pair in self._headers.raw],
            )
        else:
            self._teller.tell(
                "body",
                exchange=self.number,
                body=bytes(message.get("body", b"")),
                more=bool(message.get("more_body", False)),
            )

    async def _run(self) -> None:
        try:
            await super()._run()
        finally:
            self._teller.tell(
                "ended",
                exchange=self.number,
                raised=error_data(self.raised) if self.raised is not None else None,
                left_behind=[text[:TEXT] for text in self._left_behind[:1_000]],
            )


def telling_client(teller: Teller) -> type[Client]:
    """The kind of client whose exchanges tell."""

    class TellingClient(Client):
        def new_exchange(self, request: httpx.Request, **how: Any) -> Exchange:
            return TellingExchange(self, request, **how).tell_by(teller)

    return TellingClient


class TellingMailServer(MailServer):
    """Leads the solution to the mail server, which is in the process of the specs."""

    def __init__(self, teller: Teller) -> None:
        super().__init__()
        self._teller = teller
        # All are kept: that Python drops one with its last reference closes no connection here.
        self._sockets: dict[int, socket.socket] = {}

    def connect(self, connecting: socket.socket) -> tuple[str, int]:
        """The address that a client of `localhost:2525` is led to."""
        by = current_exchange()
        where = doing(by)
        if self._door is not None:
            self._door.stop_here()
        if connecting.getsockname()[1] == 0:
            connecting.bind(("127.0.0.1", 0))
        port = connecting.getsockname()[1]
        said = self._teller.tell("connecting", port=port, **where)
        timeline = current_timeline()
        if not said or said["down"]:
            if timeline is not None:
                timeline.record("refused", f"no mail server there: {MADE}", blocking=True)
            raise ConnectionRefusedError("the mail server is down")
        self._sockets[port] = connecting
        address = (str(said["host"]), int(said["port"]))
        network.allow(address)
        return address

    def is_closed(self, port: int) -> bool:
        """Whether the solution has closed its socket."""
        found = self._sockets.get(port)
        return found is None or found.fileno() == -1

    def close(self) -> None:
        """Close all connections."""
        for found in self._sockets.values():
            with contextlib.suppress(OSError):
                found.close()


class _TellingService(Service):
    """A service that says when a call would wait for ever."""

    teller: Teller

    def _reply(self, request: httpx.Request, reply: Reply) -> httpx.Response:
        try:
            return super()._reply(request, reply)
        finally:
            if self.endless:
                self.teller.tell("endless", method=request.method, url=str(request.url)[:TEXT])


class TellingServices(Services):
    """Asks the process of the specs how a service replies."""

    def __init__(self, teller: Teller, holds: dict[int, Hold]) -> None:
        super().__init__()
        self._teller = teller
        self._known = holds

    def reply_to(self, request: httpx.Request) -> httpx.Response | Awaitable[httpx.Response]:
        """Tell a call, and have it replied to."""
        limits = request.extensions.get("timeout") or {}
        said = self._teller.tell(
            "call",
            method=request.method[:100],
            url=str(request.url)[:TEXT],
            headers=[list(pair) for pair in request.headers.raw],
            body=request.content,
            awaited=bool(request.extensions.get(AWAITED)),
            limits={str(name): value for name, value in limits.items()},
            at=time.time(),
            **doing(current_exchange()),
        )
        if not said or "refused" in said:
            text = said["refused"] if said else "the spec is over"
            raise httpx.ConnectError(text, request=request)
        service = _TellingService(request.method, str(request.url))
        service.teller = self._teller
        hold = None
        if said["hold"] is not None:
            hold = self._known.setdefault(said["hold"], Hold(said["what"]))
            hold.what = said["what"]
        return service.reply_with(made_reply(said), request, hold)

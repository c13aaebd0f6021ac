"""The specs' side: the line to the process of a solution, and what that says unasked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx

from dojo.doubles.http import AWAITED, Service, Services, made_of
from dojo.grading.remote.errors import HostEndedError, error_of
from dojo.grading.remote.messages import (
    Calling,
    Connecting,
    Doing,
    Ended,
    Endless,
    ErrorData,
    Excepted,
    Happened,
    Saying,
    Sent,
    Started,
    Unusual,
    checked,
)
from dojo.grading.remote.wire import GoneError, ProtocolError, Wire
from dojo.harness.current import ExchangeState
from dojo.harness.frames import Place
from dojo.harness.timeline import ERRORS, EVENTS, Event, Timeline

# What the process of the specs sees by itself: nobody has to tell it.
OWN = ("response", "mail", "call")
HOST = ("host",)

Part = tuple[str] | tuple[str, int]


class Link:
    """The line to one host. `trouble` is set where it has said what it never would."""

    def __init__(self, wires: tuple[Wire, Wire, Wire], file: Path) -> None:
        self.file = file
        self.forged = ""
        self.evidence: dict[str, None] = {}
        self.heavy: dict[str, None] = {}
        self.gone = False
        self.broke_off = False
        self.late = False
        self._commands, self._happenings, self._notices = wires
        self.timeline = Timeline()
        self.states: dict[int, ExchangeState] = {}
        self.exchanges: dict[int, Any] = {}
        self.connect: Callable[[Connecting], dict[str, Any]] = lambda _said: {"down": True}
        self.services: Services = Services()
        self.hold_of: Callable[[Service, str], int | None] = lambda _service, _what: None
        threading.Thread(target=self._listen, name="dojo-link", daemon=True).start()

    def ask(self, kind: Any, do: str, *args: Any, on: Part = HOST, **options: Any) -> Any:
        """Have a part of the host do something; its result, which must be a `kind`.

        Raises what the host says that it has raised, and `HostEndedError`.
        """
        try:
            message = {"on": on, "do": do, "args": args, "options": options}
            reply = self._commands.ask(message)
            if isinstance(reply, dict) and "error" in reply:
                self.gone = bool(reply.get("stopped"))
                said = checked(ErrorData, reply["error"])
                self.late = self.late or said.kind in ("late", "did not end", "not reached")
                raise error_of(said, self.file)
            if not isinstance(reply, dict) or "value" not in reply:
                raise ProtocolError("a reply without a value")
            return checked(kind, reply["value"])
        except ProtocolError as error:
            self.forged = self.forged or str(error)
            self.close()
            raise HostEndedError(f"the solution's process sent {error}") from None
        except GoneError as error:
            self.gone = self.broke_off = True
            raise HostEndedError(f"the solution's process has ended: {error}") from None

    def ask_for(self, kind: Any, do: str, instead: Any, *, on: Part = HOST) -> Any:
        """The same for what only explains a failure; `instead` where the host has ended."""
        try:
            return instead if self.gone else self.ask(kind, do, on=on)
        except (Exception, HostEndedError):  # noqa: BLE001
            return instead

    def notice(self, hold: int, exchange: int | None, on_loop: bool, origin: str) -> bool:
        """Say that something stands at a hold; whether it has to wait there."""
        try:
            message = {"hold": hold, "exchange": exchange, "on_loop": on_loop, "origin": origin}
            return self._notices.ask(message) is True
        except (GoneError, ProtocolError):
            return False

    def close(self) -> None:
        """Talk no more."""
        self.gone = True
        for wire in (self._commands, self._happenings, self._notices):
            wire.close()

    def places(self, said: Doing | ErrorData) -> tuple[Place, ...]:
        """The places that a host says something was done at: lines of the solution only."""
        return tuple((str(self.file), line) for line in said.lines)

    def by(self, said: Doing) -> ExchangeState | None:
        """The exchange that a host says something was done for."""
        if said.exchange is None:
            return None
        if said.exchange == 0:
            return ExchangeState(0, responded=all(s.responded for s in self.states.values()))
        return self.states.get(said.exchange)

    def _listen(self) -> None:
        """Take what the host says, until it says no more."""
        try:
            while True:
                said = checked(Saying, self._happenings.receive())
                self._happenings.send(self._take(said))
        except GoneError:
            pass
        except ProtocolError as error:
            self.forged = self.forged or str(error)
            self.close()

    def _take(self, said: Any) -> Any:
        match said:
            case Happened():
                self._happened(said)
            case Unusual():
                (self.heavy if said.heavy else self.evidence)[said.text] = None
            case Excepted():
                if len(self.timeline.errors) < ERRORS:
                    self.timeline.errors.append(said.traceback)
            case Started() if said.exchange in self.exchanges:
                self.exchanges[said.exchange].take_start(said)
            case Sent() if said.exchange in self.exchanges:
                self._sent(said)
            case Ended() if said.exchange in self.exchanges:
                self.exchanges[said.exchange].take_end(said)
            case Endless():
                self.services.meant_by(httpx.Request(said.method, said.url)).endless = True
            case Connecting():
                return self.connect(said)
            case Calling():
                return self._call(said)
            case _:
                raise ProtocolError("an exchange that is not there")
        return None

    def _happened(self, said: Happened) -> None:
        if said.kind in OWN:
            raise ProtocolError(f"an event `{said.kind}`, which is not the solution's to tell")
        by = self.by(said)
        event = Event(
            said.kind,
            said.detail,
            exchange=said.exchange,
            on_loop=said.on_loop,
            after_response=bool(by and by.responded),
            blocking=said.blocking,
            in_middleware=said.in_middleware,
            in_stream=said.in_stream,
            places=self.places(said),
            origin=said.origin,
        )
        if said.kind == "gone" and said.exchange in self.exchanges:
            self.exchanges[said.exchange].gone = True
            self.states[said.exchange].responded = True
        if len(self.timeline.events) < EVENTS:
            self.timeline.events.append(event)

    def _sent(self, said: Sent) -> None:
        exchange = self.exchanges[said.exchange]
        if exchange.take_body(said):
            state = exchange.state
            state.name = f"{exchange.request.method} {unquote(exchange.name.partition(' ')[2])}"
            self.timeline.record(
                "response", f"{exchange.status} to {state.name}", by=state, on_loop=True, places=()
            )
            state.responded = True

    def _call(self, said: Calling) -> dict[str, Any]:
        request = httpx.Request(
            said.method,
            said.url,
            headers=said.headers,
            content=said.body,
            extensions={"timeout": said.limits, AWAITED: said.awaited},
        )
        by = self.by(said)
        try:
            service = self.services.meant_by(request, by)
        except httpx.ConnectError as error:
            return {"refused": str(error)}
        reply = service.note(
            request,
            by,
            datetime.fromtimestamp(said.at, UTC),
            on_loop=said.on_loop,
            places=self.places(said),
            started=said.origin,
        )
        made = httpx.Response(reply, json={}) if isinstance(reply, int) else made_of(reply)
        what = f"the call {said.method} {said.url}"
        return {"hold": self.hold_of(service, what), "what": what, **_told(made)}


def parts_of(error: Exception) -> list[Any]:
    """An exception that a spec has made, as data."""
    return [type(error).__module__, type(error).__name__, list(error.args)]


def _told(made: httpx.Response | Exception) -> dict[str, Any]:
    """A reply of a service as plain data."""
    if isinstance(made, Exception):
        return {"status": None, "headers": [], "pieces": [], "broken": parts_of(made)}
    pieces: list[bytes] = []
    broken_off = None
    try:
        assert isinstance(made.stream, httpx.SyncByteStream)
        pieces.extend(made.stream)
    except httpx.HTTPError as error:
        broken_off = parts_of(error)
    headers = [list(pair) for pair in made.headers.raw]
    return {
        "status": made.status_code,
        "headers": headers,
        "pieces": pieces,
        "broken": broken_off,
    }

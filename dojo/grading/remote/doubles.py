"""The specs' side: the mail server and the services, which are called from another process."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from typing import Any

from dojo.doubles import mail
from dojo.doubles.http import Service, Services
from dojo.doubles.mail import MailServer, Session
from dojo.doubles.under_way import CallsUnderWay
from dojo.grading.remote.asking import RemoteHold, asked
from dojo.grading.remote.exchanges import until_so
from dojo.grading.remote.link import Link
from dojo.grading.remote.messages import Connecting
from dojo.harness.holds import Hold

FIRST = 1_000_000  # number of a hold that is made here


class RemoteSession(Session):
    """A connection to the mail server, by the port that the solution has connected from."""

    port = 0
    link: Link

    @property
    def closed(self) -> bool:
        """Whether the client has closed its socket."""
        return bool(self.link.ask(bool, "is_closed", self.port, on=("mail_server",)))


class RemoteMailServer(MailServer):
    """The mail server, whose clients are in another process."""

    __slots__ = ("link",)
    part = ("mail_server",)

    hold_connections = asked(RemoteHold)

    def __init__(self, link: Link) -> None:
        super().__init__()
        self.link = link
        link.connect = self.connecting

    def hold(self, limit: int = 1) -> Hold:
        """Be slow: keep the next `limit` mails waiting until released."""
        self._hold = RemoteHold(self.link, self.link.ask(int, "hold", "the mail", limit))
        return self._hold

    def connecting(self, said: Connecting) -> dict[str, Any]:
        """Say where to connect to, and note the session."""
        if self._down:
            return {"down": True}
        session = RemoteSession(
            socket.socket(),
            self.link.by(said),
            said.on_loop,
            places=self.link.places(said),
            origin=said.origin,
        )
        session.port, session.link = said.port, self.link
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
        link.hold_of = self._hold_of

    def _hold_of(self, service: Service, what: str) -> int | None:
        if self._each is not None:
            hold = self._each.arrive(*what.removeprefix("the call ").split(" ", 1))
            return hold.number if isinstance(hold, RemoteHold) else None
        return getattr(service, "number", None)

    def hold_each(self) -> CallsUnderWay:
        """Hold each call from now on, whichever service it is for, with a hold of its own."""
        self._each = RemoteCallsUnderWay(self._link)
        return self._each

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
        hold = RemoteHold(self.link, self.link.ask(int, "hold", what, limit))
        self.number = hold.number
        return hold


class RemoteCallsUnderWay(CallsUnderWay):
    """The calls that are under way at a time, each held in the solution's process."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._numbers = itertools.count(FIRST)

    async def _wait(self, condition: Callable[[], bool]) -> None:
        await until_so(self._link, condition)

    def _all_quiet(self) -> bool:
        return bool(self._link.ask(bool, "is_quiet"))

    def _new_hold(self, _what: str) -> Hold:
        return RemoteHold(self._link, next(self._numbers))

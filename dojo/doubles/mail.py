"""The stand-in mail server: a real SMTP server in this process, which does what a spec wants."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import os
import socket
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from types import SimpleNamespace
from typing import Any

from dojo.doubles import network
from dojo.harness.current import ExchangeState, current_exchange, current_timeline, origin
from dojo.harness.frames import Place, places_here
from dojo.harness.holds import Hold
from dojo.harness.timeline import MADE


@dataclass
class Mail:
    """A mail that was accepted: the addresses of the envelope, and the message."""

    sender: str
    recipients: list[str]
    message: EmailMessage

    @property
    def to(self) -> str:
        """The addresses in the header `To`."""
        return _addresses(self.message, "To")

    @property
    def from_(self) -> str:
        """The addresses in the header `From`."""
        return _addresses(self.message, "From")

    @property
    def subject(self) -> str:
        """The header `Subject`."""
        return str(self.message["Subject"] or "")

    @property
    def message_id(self) -> str:
        """The header `Message-ID`."""
        return str(self.message["Message-ID"] or "").strip()

    @property
    def body(self) -> str:
        """The plain text, without the line ends at its end.

        `set_content` adds one, and `sendmail` another.
        """
        part = self.message.get_body(("plain",))
        content: str = part.get_content() if part is not None else ""
        return content.replace("\r\n", "\n").rstrip("\n")

    def __str__(self) -> str:
        return f"to {', '.join(self.recipients)}, {self.subject!r}"


def _addresses(message: EmailMessage, name: str) -> str:
    header = message[name]
    return ", ".join(a.addr_spec for a in header.addresses) if header is not None else ""


@dataclass
class Session:
    """One connection to the server: for which exchange, on which thread, and how it ended."""

    socket: socket.socket
    state: ExchangeState | None
    on_loop: bool
    quit: bool = False
    mails: list[Mail] = field(default_factory=list)
    places: tuple[Place, ...] = ()
    origin: str = ""

    @property
    def closed(self) -> bool:
        """Whether the client has closed its socket."""
        return self.socket.fileno() == -1


class MailServer:
    """The server as one spec sees it.

    The sockets of all sessions are kept, so that a connection which a solution does not close stays
    open: that Python happens to drop it with the last reference is nothing to rely on.
    """

    __slots__ = (
        "_door",
        "_down",
        "_hold",
        "_refuses",
        "hangs_up",
        "mails",
        "sessions",
    )

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.mails: list[Mail] = []
        self._down = False
        self._refuses: str | None = None
        self.hangs_up = False
        self._hold: Hold | None = None
        self._door: Hold | None = None

    def go_down(self) -> None:
        """From now on nothing listens on the port."""
        self._down = True

    def refuse(self, address: str = "", *, hangs_up: bool = False) -> None:
        """From now on no recipient is accepted, or this one is not.

        A server that `hangs_up` says with that that it closes the connection.
        """
        self._refuses, self.hangs_up = address, hangs_up

    def recover(self) -> None:
        """From now on it listens, and accepts everybody."""
        self._down, self._refuses = False, None

    def hold(self, limit: int = 1) -> Hold:
        """Be slow: keep the next `limit` mails waiting until released."""
        self._hold = Hold("the mail", limit)
        return self._hold

    def hold_connections(self, limit: int = 1) -> Hold:
        """Be slow to accept: keep the next `limit` connections waiting until released."""
        self._door = Hold("the connection to the mail server", limit)
        return self._door

    def connect(self, connecting: socket.socket) -> tuple[str, int]:
        """The address that a client of `localhost:2525` is led to, whose socket is noted."""
        timeline = current_timeline()
        state = current_exchange()
        on_loop = timeline is not None and timeline.on_loop()
        if self._door is not None:
            self._door.stop_here()
        if self._down:
            if timeline is not None:
                timeline.record("refused", f"no mail server there: {MADE}", blocking=True)
            raise ConnectionRefusedError("the mail server is down")
        self.sessions.append(
            Session(connecting, state, on_loop, places=places_here(), origin=origin.get())
        )
        return _server().address

    def session(self, port: int) -> Session | None:
        """The open session of the client at this port."""
        for session in self.sessions:
            if not session.closed and session.socket.getsockname()[1] == port:
                return session
        return None

    def close(self) -> None:
        """Close all connections."""
        for session in self.sessions:
            with contextlib.suppress(OSError):
                session.socket.close()

    def refuses(self, recipient: str, session: Session | None) -> bool:
        """Whether a recipient is refused, which is then noted."""
        refused = self._refuses is not None and self._refuses in ("", recipient)
        if refused:
            timeline = current_timeline()
            if timeline is not None:
                by = session.state if session else None
                timeline.record("refused", f"mail to {recipient}: {MADE}", by=by, on_loop=False)
        return refused

    async def accept(self, mail: Mail, session: Session | None) -> None:
        """Take a mail, once no hold keeps it waiting."""
        by = session.state if session else None
        on_loop = session is not None and session.on_loop
        places, started = (session.places, session.origin) if session else ((), "")
        if self._hold is not None:
            if on_loop:
                self._hold.pass_on_loop()
            else:
                await self._hold.stop_here_async(by, started)
        self.mails.append(mail)
        if session is not None:
            session.mails.append(mail)
        timeline = current_timeline()
        if timeline is not None:
            timeline.record(
                "mail",
                str(mail),
                by=by,
                on_loop=on_loop,
                blocking=True,
                places=places,
                started=started,
            )


_mail_server: MailServer | None = None


def use(mail_server: MailServer | None) -> None:
    """Deliver mail to `mail_server` from now on; the one before closes its connections."""
    global _mail_server
    if _mail_server is not None and mail_server is not _mail_server:
        _mail_server.close()
    _mail_server = mail_server
    network.route_mail(mail_server.connect if mail_server is not None else None)


async def _recipient(
    _server: Any, session: Any, envelope: Any, address: str, _options: list[str]
) -> str:
    if _mail_server is None or _mail_server.refuses(address, _mail_server.session(session.peer[1])):
        hangs_up = _mail_server is not None and _mail_server.hangs_up
        return "421 closing the connection" if hangs_up else "550 no such mailbox here"
    envelope.rcpt_tos.append(address)
    return "250 OK"


async def _data(_server: Any, session: Any, envelope: Any) -> str:
    if _mail_server is None:
        return "451 the spec is over"
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    mail = Mail(envelope.mail_from, list(envelope.rcpt_tos), message)
    await _mail_server.accept(mail, _mail_server.session(session.peer[1]))
    return "250 OK"


async def _quit(_server: Any, session: Any, _envelope: Any) -> str:
    known = _mail_server.session(session.peer[1]) if _mail_server is not None else None
    if known is not None:
        known.quit = True
    return "221 Bye"


# The hooks of aiosmtpd, by the names that it wants.
_HANDLER = SimpleNamespace(handle_RCPT=_recipient, handle_DATA=_data, handle_QUIT=_quit)

# Bound here, before it is watched: the exchange of the first mail has not started this thread.
_start = threading.Thread.start


class _Server:
    """aiosmtpd on a loopback port, in a thread that lives as long as the process.

    Port 0 is any that is free.
    """

    def __init__(self, port: int = 0) -> None:
        from aiosmtpd.smtp import SMTP

        # asyncio sends without delay only on sockets that say they are TCP: 3 ms a mail, not 50.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if port and os.name == "posix":  # else it would be taken for a minute after the last mail
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        self.address: tuple[str, int] = listening.getsockname()
        network.allow(self.address)
        loop = asyncio.new_event_loop()

        async def serve() -> None:
            server = await loop.create_server(
                lambda: SMTP(_HANDLER, enable_SMTPUTF8=True, loop=loop), sock=listening
            )
            await server.serve_forever()

        def run() -> None:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(serve())

        _start(threading.Thread(target=run, name="mail_server", daemon=True))


_running: _Server | None = None


def _server(port: int = 0) -> _Server:
    global _running
    if _running is None:
        _running = _Server(port)
    return _running


def address() -> tuple[str, int]:
    """Where the server listens; it is started if it does not run."""
    return _server().address


def start(port: int = 0) -> None:
    """Start the server, which takes some 100 ms the first time.

    On a port of its own, or on any that is free. Raises `OSError` where the port is taken.
    """
    _server(port)

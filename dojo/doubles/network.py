"""The network guard: a solution reaches the dojo's doubles and nothing else."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from itertools import islice
from typing import Any

from dojo.harness.current import current_exchange, current_timeline
from dojo.harness.frames import callers

MAIL_PORT = 2525
NO_LOOPBACK = (
    "this machine has no loopback interface: 127.0.0.1 cannot be reached, where the mail server of "
    "the specs listens. It has nothing to do with your code; on Linux, `ip link set lo up` helps"
)
LOCAL = ("localhost", "127.0.0.1", "::1")

_loading = False
_mail: Callable[[socket.socket], tuple[str, int]] | None = None


class NetworkRefusedError(ConnectionRefusedError):
    """The solution tried to reach something that is not one of the dojo's doubles."""


def route_mail(server: Callable[[socket.socket], tuple[str, int]] | None) -> None:
    """Lead connections to `localhost:2525` to the address that `server` names for a socket."""
    global _mail
    _mail = server


def loading(now: bool) -> None:
    """Whether a solution is being imported, which counts as its doing although no exchange runs."""
    global _loading
    _loading = now


_real_connect = socket.socket.connect
_real_getfqdn = socket.getfqdn


def has_loopback() -> bool:
    """Whether a program on this machine can reach another one on it."""
    try:
        with socket.socket() as listening, socket.socket() as connecting:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            _real_connect(connecting, listening.getsockname())
    except OSError:
        return False
    return True


def _is_the_solutions() -> bool:
    return current_exchange() is not None or _loading


def connect(self: socket.socket, address: Any) -> None:
    """In place of `socket.connect`: lead what is meant for the mail server to the double."""
    if _mail is not None and _is_mail(address):
        if self.family != socket.AF_INET:
            raise ConnectionRefusedError("the dojo's mail server speaks IPv4 only")
        address = _mail(self)
    _real_connect(self, address)


def connect_ex(self: socket.socket, address: Any) -> int:
    """In place of `socket.connect_ex`."""
    try:
        self.connect(address)
    except OSError as error:
        return error.errno or 1
    return 0


def getfqdn(name: str = "") -> str:
    """In place of `socket.getfqdn`: the name of this machine, with no name server asked."""
    return "dojo.localdomain" if current_timeline() is not None else _real_getfqdn(name)


def _is_mail(address: Any) -> bool:
    return isinstance(address, tuple) and address[0] in LOCAL and address[1] == MAIL_PORT


def _connecting(_sock: Any, address: Any) -> None:
    if not _is_the_solutions() or _own_pair():
        return
    if not isinstance(address, tuple):
        _refuse(os.fsdecode(address), NetworkRefusedError)
    if _mail_address is not None and address[:2] == _mail_address:
        return
    _refuse(f"{address[0]}:{address[1]}", NetworkRefusedError)


def _resolving(host: Any, *_rest: Any) -> None:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if _is_the_solutions() and name not in (None, "", *LOCAL, socket.gethostname()):
        _refuse(str(name), socket.gaierror)


def _refuse(what: str, error: type[OSError]) -> None:
    timeline = current_timeline()
    if timeline is not None:
        timeline.record("refused", what)
    message = f"the dojo lets nothing out: {what} cannot be reached from here"
    raise error(socket.EAI_NONAME, message) if error is socket.gaierror else error(message)


EVENTS: dict[str, Callable[..., None]] = {
    "socket.connect": _connecting,
    "socket.sendto": _connecting,
    "socket.getaddrinfo": _resolving,
    "socket.gethostbyname": _resolving,
}
_mail_address: tuple[str, int] | None = None


def allow(address: tuple[str, int] | None) -> None:
    """Say which real address a solution may connect to: the mail server's."""
    global _mail_address
    _mail_address = address


def _own_pair() -> bool:
    """Whether a socket pair is being made, which on Windows is a connection over loopback."""
    return any("socketpair" in frame.f_code.co_name for frame in islice(callers(), 7))

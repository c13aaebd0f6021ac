"""What every request has to pass: a host that is ours, an origin that is ours, a limited size."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 64 * 1024
SAFE = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    # Nothing runs in a page but the files of this server, whatever stands in it.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """An ASGI middleware that refuses what no page of ours and no `dojo` would send."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.names = own_names()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        wrong = self._wrong(scope["method"], headers)
        if wrong is not None:
            status, detail = wrong
            response = JSONResponse({"detail": detail}, status, headers=HEADERS)
            await response(scope, receive, send)
            return

        taken = 0
        refused = False

        async def counted() -> Message:
            nonlocal taken, refused
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BYTES:  # the length was not said, or not truly
                refused = True
                return {"type": "http.disconnect"}
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out.setdefault(name, value)
                if refused:
                    message["status"] = 413
            await send(message)

        await self.app(scope, counted, with_headers)

    def _wrong(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not is_ours(host, self.names):
            return 421, f"this is not {host[:80]!r}: use the address that the session has printed"
        if method in SAFE:
            return None
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return 403, "the request comes from another page: use the page of the session"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return 413, f"the message is too large: at most {MOST_BYTES} bytes"
        return None


def own_names() -> frozenset[str]:
    """The names under which this machine may be asked for."""
    name = socket.gethostname().lower()
    return frozenset({"localhost", name, name.partition(".")[0], f"{name.partition('.')[0]}.local"})


def is_ours(host: str, names: Iterable[str]) -> bool:
    """Whether a `Host` is an address or a name of this machine.

    Another name would be one that somebody's page has led here, to read what it may not.
    """
    try:
        found = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if found in names:
        return True
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return False
    return True

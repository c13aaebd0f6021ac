"""A session with a clock that only moves when a test moves it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from dojo.catalogue import read_catalogue
from dojo.session.board import Address
from dojo.session.messages import JoinIn, LightIn
from dojo.session.room import Room, new_session
from dojo.session.serve import SessionServer, open_socket
from dojo.session.server import make_app
from dojo.session.settings import Settings
from dojo.session.store import Store

ROOT = Path(__file__).resolve().parents[2]
KATAS = read_catalogue(ROOT)
K01, K03 = "k01_notification_log", "k03_order_checkout"
START = 1_800_000_000.0
HOST = "http://127.0.0.1:8700"


@dataclass
class Clock:
    """The time of a test."""

    at: float = START

    def __call__(self) -> float:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class Evening:
    """A session with its clock, which can be stopped and started again."""

    root: Path
    settings: Settings = field(default_factory=lambda: Settings((K01,)))
    clock: Clock = field(default_factory=Clock)
    lan: bool = False

    def __post_init__(self) -> None:
        self.store = Store(self.root)
        self.row = new_session(self.store, self.settings, self.clock())
        self.start()

    def start(self) -> None:
        """Start the server, or start it again: all that is known comes from the disk."""
        row = self.store.session(self.row.id)
        assert row is not None
        self.room = Room(self.store, row, KATAS, self.clock)
        self.app = make_app(self.room, Address(HOST, self.lan, qr=self.lan))

    def restart(self) -> None:
        """As after a kill: nothing is written at the end."""
        self.store.close()
        self.store = Store(self.root)
        self.start()

    def team(self, name: str = "Tea", **more: str) -> str:
        """Let a team join; its token."""
        asked = JoinIn(code=self.row.code, team=name, **more)
        return self.room.join(asked, "127.0.0.1").token

    def light(self, token: str, light: str = "red", passed: int = 1, **more: Any) -> bool:
        """Send a light; whether it was stored."""
        return self.room.accept(token, [light_in(light, passed, **more)]).stored

    def html(self, part: str) -> str:
        """A part of the page."""
        return str(self.app.state.board.html(part))

    @asynccontextmanager
    async def browser(self, **headers: str) -> Any:
        """A client of the app, with cookies."""
        transport = httpx.ASGITransport(self.app, client=("10.1.2.3", 5000))
        async with httpx.AsyncClient(transport=transport, base_url=HOST, headers=headers) as client:
            yield client


_numbers: Iterator[int] = iter(range(10_000_000, 99_999_999))


def light_in(light: str = "red", passed: int = 1, **more: Any) -> LightIn:
    """A light as a team sends it, with an id of its own."""
    return LightIn(**light_json(light, passed, **more))


def light_json(light: str = "red", passed: int = 1, **more: Any) -> dict[str, Any]:
    """The same as JSON."""
    known = {"id": str(next(_numbers)), "kata": K01, "total": 9, "seconds": 0.5, "ago": 0.0}
    return {**known, "light": light, "passed": passed, **more}


@contextmanager
def served(evening: Evening, port: int = 0) -> Iterator[str]:
    """The session on a real port of loopback, as `dojo session start` serves it; its address."""
    listening = open_socket(port, lan=False)
    server = SessionServer(evening.app)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        evening.app.state.signal.close()
        thread.join(30)
        listening.close()
        assert not thread.is_alive()

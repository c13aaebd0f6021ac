"""Serves a session with uvicorn, until Ctrl-C."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from dojo.session.board import Address
from dojo.session.qr import is_possible
from dojo.session.room import Room
from dojo.session.server import make_app
from dojo.sockets import LOOPBACK, listening_on

EVERYWHERE = "0.0.0.0"
AGAIN = 10.0  # seconds between two tries to store what the disk did not take


class ServeError(Exception):
    """The page cannot be served; the message says why, and what to do."""


def open_socket(port: int, *, lan: bool) -> socket.socket:
    """A socket that listens on the port; on any that is free where it is 0.

    Raises `ServeError`.
    """
    try:
        return listening_on(port, EVERYWHERE if lan else LOOPBACK)
    except OSError as error:
        raise ServeError(
            f"port {port} cannot be used ({error.strerror or error}): give another with --port, or "
            "stop what uses it"
        ) from None


def lan_address() -> str:
    """This machine's address on its network; loopback where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 9))  # sends nothing: it only chooses a way out
            found: str = probe.getsockname()[0]
        except OSError:
            return LOOPBACK
    return found


def address_of(listening: socket.socket, *, lan: bool) -> Address:
    """The address to type."""
    host = lan_address() if lan else LOOPBACK
    url = f"http://{host}:{listening.getsockname()[1]}"
    return Address(url=url, lan=lan, qr=lan and is_possible())


class SessionServer(uvicorn.Server):
    """A server that ends the streams of its pages before it waits for them."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=3,
                limit_concurrency=1000,
            )
        )
        self._streams = app.state.signal

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop."""
        self._streams.close()
        super().handle_exit(sig, frame)


def serve(room: Room, listening: socket.socket, address: Address, ready: Callable[[], None]) -> int:
    """Serve until Ctrl-C; `ready` is called when pages can be opened. The exit code."""
    server = SessionServer(make_app(room, address))

    async def run() -> None:
        saving = asyncio.create_task(_save_again(room))
        ready()
        try:
            await server.serve(sockets=[listening])
        finally:
            saving.cancel()

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        pass  # uvicorn has stopped, and hands the signal on
    finally:
        room.save()
    return 0


async def _save_again(room: Room) -> None:
    while True:
        await asyncio.sleep(AGAIN)
        if room.trouble:
            await asyncio.to_thread(room.save)

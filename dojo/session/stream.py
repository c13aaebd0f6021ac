"""The stream of events to a page: what has changed since the version that the page has."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

from fastapi.sse import ServerSentEvent

from dojo.session.board import Board

PAUSE = 0.2  # seconds between two events to a page: what comes faster is sent together
PULSE = 10.0  # seconds after which a page hears the time, though nothing has changed


class Signal:
    """Wakes the streams, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closed = False

    def send(self) -> None:
        """Wake all that wait."""
        with self._lock:
            loop = self._loop
            if loop is None or loop.is_closed():
                return
            loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """End all streams: a server that stops waits for them."""
        self.closed = True
        self.send()

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    def register(self) -> asyncio.Event:
        """An event that is set when something has changed."""
        event = asyncio.Event()
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._waiting.add(event)
        return event

    def forget(self, event: asyncio.Event) -> None:
        """Undo `register`."""
        self._waiting.discard(event)


def version_in(event_id: str, board: Board) -> int:
    """The version that a page has, by the id of its last event; 0 if it knows none of this run."""
    epoch, _, version = event_id.partition(".")
    return int(version) if epoch == board.epoch and version.isdecimal() else 0


async def events(
    board: Board, signal: Signal, version: int
) -> AsyncGenerator[ServerSentEvent, None]:
    """What changes, from a version on; no event is kept for a page that does not read."""
    changed, time = signal.register(), asyncio.get_running_loop().time
    try:
        while not signal.closed:
            changed.clear()
            began = time()
            version, parts = await asyncio.to_thread(board.json_since, version)
            yield ServerSentEvent(
                raw_data=f'{{"now": {board.room.now()}, "parts": {parts}}}',
                id=f"{board.epoch}.{version}",
                retry=1000,
            )
            try:
                await asyncio.wait_for(changed.wait(), PULSE)
            except TimeoutError:
                continue
            await asyncio.sleep(max(0.0, began + PAUSE - time()))
    finally:
        signal.forget(changed)

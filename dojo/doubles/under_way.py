"""The calls that are under way at a time, each of them held until a spec lets it go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from dojo.harness.holds import SECONDS, Hold, NotReachedError, all_quiet, until


@dataclass(frozen=True)
class _Held:
    """A call, by its URL, and the hold that keeps it waiting."""

    url: str
    hold: Hold


class CallsUnderWay:
    """Holds each call of any service until it is released, and counts those under way together.

    All are released at the end of the `with` block.
    """

    def __init__(self) -> None:
        self.most = 0
        self._calls: list[_Held] = []
        self._open = False
        self._lock = threading.Lock()

    def __enter__(self) -> CallsUnderWay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._open = True
        for call in self._calls:
            call.hold.__exit__(kind, error, tb)

    @property
    def urls(self) -> list[str]:
        """The URLs of the calls that are under way now, in the order in which they came."""
        return [call.url for call in list(self._calls) if not call.hold.released]

    def arrive(self, method: str, url: str) -> Hold | None:
        """The hold for a call that has reached its service; None once all may pass."""
        with self._lock:
            if self._open:
                return None
            hold = self._new_hold(f"the call {method} {url}")
            self._calls.append(_Held(url, hold))
            self.most = max(self.most, len(self.urls))
            return hold

    def release(self, url: str | None = None) -> None:
        """Let one call go on: the first to this URL, or the first of all."""
        for call in list(self._calls):
            if not call.hold.released and url in (None, call.url):
                call.hold.release()
                return
        raise AssertionError(f"no call to {url or 'any service'} is under way: {self.urls}")

    async def _wait(self, condition: Callable[[], bool]) -> None:
        await until(condition)

    def _all_quiet(self) -> bool:
        return all_quiet()

    def _new_hold(self, what: str) -> Hold:
        return Hold(what)

    async def until(self, count: int) -> None:
        """Wait until so many calls are under way together.

        Raises:
            AssertionError: They are not, within 2 s or when every request has finished.
        """

        def on_loop() -> str:
            return next((call.url for call in list(self._calls) if call.hold.on_loop), "")

        await self._wait(lambda: len(self.urls) >= count or bool(on_loop()) or self._all_quiet())
        if on_loop():
            raise AssertionError(
                f"the call of {on_loop()} was made on the event loop's thread, where every other "
                "request has to wait for it: await the call of an httpx.AsyncClient"
            )
        if len(self.urls) < count:
            end = "every request had finished" if self._all_quiet() else f"{SECONDS:g} s had passed"
            raise NotReachedError(
                f"{len(self.urls)} calls were under way together, and not {count}, when {end}"
            )

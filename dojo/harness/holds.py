"""Holds: what a spec uses to keep something from going on until it says so."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from types import TracebackType

from dojo.harness import debugger
from dojo.harness.current import ExchangeState, current_exchange, current_timeline, origin

SECONDS = 2.0
TURN = 0.1
# A hold outlasts the wait for what it holds, so that the message of the wait is the one shown.
LONGER = 1.5

# Bound here, before anybody freezes or replaces the ones in their modules.
real_pause = time.sleep
clock = time.monotonic


async def turns(count: int = 20) -> None:
    """Let everything that is ready on the event loop run, and what that makes ready, and so on."""
    left = count

    def passed() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    await _wait_for(passed, eager=count + 1)


async def until(happened: Callable[[], bool], seconds: float | None = None) -> bool:
    """Wait for something that is about to happen, at most 2 s of real time; whether it did."""
    left = whole = SECONDS if seconds is None else seconds
    last = clock()
    came = False

    def over() -> bool:
        nonlocal came, last, left
        came = happened()
        # While the loop stands still, nothing can happen that is waited for here.
        last, passed = clock(), clock() - last
        left -= min(passed, TURN)
        if left < 0 and debugger.waits():
            left = whole
        return came or left < 0

    await _wait_for(over, eager=8)
    return came


async def _wait_for(over: Callable[[], bool], eager: int) -> None:
    """Ask `over` in each turn of the loop, and after `eager` of them every half millisecond.

    By callbacks: a coroutine that is asked again and again wakes all those that wait for it.
    """
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[None] = loop.create_future()
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        if waiting.done():
            return
        try:
            if over():
                waiting.set_result(None)
            elif asked < eager:
                loop.call_soon(ask)
            else:
                loop.call_later(0.0005, ask)
        except BaseException as error:  # noqa: BLE001
            waiting.set_exception(error)

    ask()
    await waiting


class NotReachedError(AssertionError):
    """Nothing arrived at the hold of a spec."""


class Hold:
    """Stops what reaches it until it is released, at the end of its `with` block at the latest.

    A hold that is never released ends by itself after 3 seconds, and its `with` block then fails.
    Work on the event loop's own thread is never stopped, since nothing could release it: the
    timeline shows that it ran there.
    """

    def __init__(self, what: str, limit: int = 1) -> None:
        self.what = what
        self.limit = limit
        self.reached = 0
        self.threads = 0
        self.overdue = False
        self.on_loop = False
        self.origin = ""
        self._gate = threading.Event()
        _all.append(self)
        self._lock = threading.Lock()

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.release()
        if self.overdue and error is None:
            raise AssertionError(
                f"the hold on {self.what} was not released within {LONGER * SECONDS:g} s: "
                "what it held went on, so this spec proved nothing"
            )

    @property
    def released(self) -> bool:
        """Whether what it stops may go on."""
        return self._gate.is_set()

    def release(self) -> None:
        """Let go on what it has stopped."""
        timeline = current_timeline()
        if timeline is not None and self.reached and not self.released:
            timeline.record("released", self.what)
        self._gate.set()

    def _takes(self) -> bool:
        """Count one more arrival; False when it is let through."""
        with self._lock:
            if self.released or self.reached >= self.limit:
                return False
            self.reached += 1
            return True

    def stop_here(self) -> None:
        """Stop the calling thread, unless it is the event loop's."""
        timeline = current_timeline()
        if timeline is not None and timeline.on_loop():
            self.pass_on_loop()
        elif self._takes():
            self._note(current_exchange())
            self.threads += 1
            self._overdue(self._gate.wait(LONGER * SECONDS))

    def pass_on_loop(self) -> None:
        """Note that what should be held is on the event loop's thread, and let it through."""
        self.on_loop = self.on_loop or not self.released

    async def stop_here_async(self, by: ExchangeState | None = None, started: str = "") -> None:
        """Stop the calling coroutine.

        Where it replies to a thread, `by` is the exchange of that thread, and `started` what the
        solution had started by itself to run it.
        """
        if self._takes():
            self._note(by or current_exchange(), started)
            self.threads += by is not None
            self._overdue(await until(lambda: self.released, LONGER * SECONDS))

    def arrive(self, by: ExchangeState | None, started: str = "") -> bool:
        """Note an arrival from another process; whether it has to wait there."""
        if not self._takes():
            return False
        self._note(by, started)
        self.threads += by is not None
        return True

    async def until_reached(self, count: int = 1) -> None:
        """Wait until `count` of what is held have arrived.

        Raises `AssertionError` if they do not.
        """
        await until(lambda: self.reached >= count or self.on_loop or all_quiet())
        if self.on_loop:
            raise AssertionError(
                f"{self.what} was on the event loop's thread, where every other request has "
                "to wait for it: an `async def` task runs on the loop, "
                "a `def` task runs in a worker thread"
            )
        if self.reached < count:
            raise NotReachedError(self._why_not_reached(count))

    def _why_not_reached(self, count: int) -> str:
        end = "every request had finished" if all_quiet() else f"{SECONDS:g} s had passed"
        if not self.reached:
            return f"{self.what} never began: {end} without it"
        return f"{self.what} began {self.reached} times, and not {count} times, before {end}"

    def _note(self, state: ExchangeState | None, started: str = "") -> None:
        """Note that it is this exchange which has arrived here."""
        timeline = current_timeline()
        if timeline is not None:
            self.origin = self.origin or started or origin.get()
            timeline.record("held", self.what, by=state)
        if state is not None:
            _holding.setdefault(state.number, []).append(self)

    def _overdue(self, released: bool) -> None:
        self.overdue = self.overdue or not released


def all_quiet() -> bool:
    """Whether every exchange that began has finished, so that nothing more can come."""
    timeline = current_timeline()
    return timeline is not None and timeline.under_way == 0


_all: list[Hold] = []
_holding: dict[int, list[Hold]] = {}
_waiting: dict[int, Hold] = {}
_lock = threading.Lock()
_freed = 0


def held(number: int) -> Hold | None:
    """The hold at which exchange `number` has arrived last and that is not released yet."""
    reached = [hold for hold in _holding.get(number, ()) if not hold.released]
    if reached:
        return reached[-1]
    hold = _waiting.get(number)
    return None if hold is None or hold.released else hold


def standing() -> Hold | None:
    """A hold at which something has arrived, and that is not released yet."""
    return next((hold for hold in _all if hold.reached and not hold.released), None)


def held_threads() -> int:
    """How many worker threads stand at holds now, or wait for what those keep."""
    return sum(hold.threads for hold in _all if not hold.released) + len(_waiting)


def some_held() -> bool:
    """Whether a thread stands at a hold now, with the locks that it has."""
    return any(hold.threads and not hold.released for hold in _all)


def locks_freed() -> int:
    """How often a lock was freed so far."""
    return _freed


def wait_for_lock(state: ExchangeState, freed: int) -> None:
    """Note that an exchange waits for a lock that a held one has.

    `freed` is how many locks had been freed when it began to wait. On the event loop's thread it
    would wait for ever, since nothing could release the hold: what is held goes on.
    """
    timeline = current_timeline()
    for hold in [hold for hold in _all if hold.threads and not hold.released]:
        if timeline is not None and timeline.on_loop():
            hold.release()
            continue
        with _lock:
            if freed == _freed:
                _waiting[state.number] = hold


def got_lock(state: ExchangeState) -> None:
    """Note that an exchange has the lock that it has waited for."""
    with _lock:
        _waiting.pop(state.number, None)


def lock_freed() -> None:
    """Note that a lock is free: exchanges that wait for one may go on."""
    global _freed
    with _lock:
        _freed += 1
        _waiting.clear()


def release_all() -> None:
    """Let everything go on, at the end of a spec."""
    for hold in _all:
        hold.release()
    _all.clear()
    _holding.clear()
    _waiting.clear()

"""The ordered record of what happened in a spec, and on which thread."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import get_ident

from dojo.harness.current import ExchangeState, current_exchange, in_middleware, in_stream, origin
from dojo.harness.frames import (
    Place,
    Traceback,
    line_at,
    places_here,
    source_of,
    traceback_of,
)

ERRORS = 5
MADE = "this spec made it fail"
EXCHANGE_EVENTS = ("request", "response", "finished")
# The most that is kept: of sleeps in a row, and of all.
SLEEPS = 100
EVENTS = 10_000


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    `blocking` says that it is work that keeps its thread busy, `on_loop` that this thread was the
    event loop's, `after_response` that the exchange it belongs to had been sent, `in_middleware`
    that a middleware was at work, `in_stream` that a piece of the body was made. `places` are the
    lines of the solution that were at it, innermost first, and `origin` is what the solution had
    started by itself to do it.
    """

    kind: str
    detail: str = ""
    exchange: int | None = None
    on_loop: bool = False
    after_response: bool = False
    blocking: bool = False
    in_middleware: bool = False
    in_stream: bool = False
    places: tuple[Place, ...] = ()
    origin: str = ""

    @property
    def blocks_the_loop(self) -> bool:
        """Whether it kept the event loop busy in a task or a middleware."""
        in_task = self.after_response and not self.in_stream
        return self.blocking and self.on_loop and (in_task or self.in_middleware)

    @property
    def was_made(self) -> bool:
        """Whether it is a failure that the spec has brought about itself."""
        return self.detail.endswith(MADE)

    def is_a(self, selector: str) -> bool:
        """Whether `selector` names this event: a kind, or a kind and a part of the detail."""
        kind, _, part = selector.partition(" ")
        return self.kind == kind and part in self.detail

    def __str__(self) -> str:
        return f"{self.kind} {self.detail}".strip()


class Order(list[str]):
    """The selectors of the events that happened, in order; compare it with a list."""


@dataclass
class Timeline:
    """The events of one spec, in order.

    Any thread may add to it; `under_way` counts exchanges begun and not finished, and `in_flight`
    are those whose app is at work. Endless events do not fill the memory: see `EVENTS`.
    What a spec took exception to is `marked`, and `likely` is the reason, as far as it is known.
    `errors` are the exceptions that did not come out of the app.
    """

    loop_thread: int = field(default_factory=get_ident)
    events: list[Event] = field(default_factory=list)
    under_way: int = 0
    in_flight: list[ExchangeState] = field(default_factory=list)
    marked: list[Event] = field(default_factory=list)
    sleeps: int = 0
    likely: str = ""
    errors: list[Traceback] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __iter__(self) -> Iterator[Event]:
        return iter(list(self.events))

    def record(
        self,
        kind: str,
        detail: str = "",
        *,
        by: ExchangeState | None = None,
        on_loop: bool | None = None,
        blocking: bool = False,
        places: tuple[Place, ...] | None = None,
        started: str | None = None,
    ) -> Event:
        """Add an event; what is not given is read off the thread and the context of the caller."""
        if places is None:
            places = places_here() if blocking else ()
        by = by or current_exchange()
        on_loop = self.on_loop() if on_loop is None else on_loop
        event = Event(
            kind,
            detail,
            exchange=by.number if by else None,
            on_loop=on_loop,
            after_response=bool(by and by.responded),
            in_stream=blocking and on_loop and in_stream(),
            blocking=blocking,
            in_middleware=bool(by) and blocking and on_loop and in_middleware(),
            places=places,
            origin=origin.get() if started is None else started,
        )
        with self._lock:
            self._keep(event)
        return event

    def _keep(self, event: Event) -> None:
        """Add an event at the end."""
        # How often somebody slept in a row, while nothing else happened.
        self.sleeps = self.sleeps + 1 if event.kind == "sleep" else 0
        if self.sleeps <= SLEEPS and len(self.events) < EVENTS:
            self.events.append(event)

    def note_error(self, error: BaseException, became: str) -> None:
        """Keep the traceback of an exception that does not come out of the app.

        `became` says what happened to it. The exception itself would keep alive everything that
        the failing function held open.
        """
        kept = traceback_of(error)
        if kept is None:
            return
        kept.became = became
        if kept not in self.errors and len(self.errors) < ERRORS:
            self.errors.append(kept)

    def on_loop(self) -> bool:
        """Whether the calling thread is the event loop's."""
        return get_ident() == self.loop_thread

    def of(self, selector: str) -> list[str]:
        """The details of all events that `selector` names, in order."""
        return [event.detail for event in self if event.is_a(selector)]

    def order(self, *selectors: str) -> Order:
        """Which of `selectors` happened, in order, runs of the same one counted once.

        A selector is a kind of event (`mail`) or a kind and a part of its detail (`commit
        inventory`).
        """
        seen = Order()
        for event in self:
            for selector in selectors:
                if event.is_a(selector):
                    if not seen or seen[-1] != selector:
                        seen.append(selector)
                    break
        return seen

    def mark_disorder(self, happened: list[str], expected: list[str]) -> None:
        """Mark the events that stand where something else was expected."""
        for was, should in zip(happened, [*expected, *[""] * len(happened)], strict=False):
            if was != should:
                self.marked = [event for event in self if event.is_a(was)]
                return

    def early(self, selector: str, message: str) -> str:
        """Mark what came before its response, and note the likely reason.

        Gives `message` back, the text of an assert.
        """
        self.marked = [event for event in self if event.is_a(selector) and not event.after_response]
        self.likely = why_early(self.marked[0]) if self.marked else ""
        return message

    def on_the_loop(self) -> list[str]:
        """The events that kept the event loop busy, before the response and in an endpoint too."""
        return [
            str(event)
            for event in self
            if event.blocking and event.on_loop and event.exchange is not None
        ]

    def blocked(self) -> list[str]:
        """The events that kept the event loop busy inside a task or a middleware; none is right."""
        return [str(event) for event in self if event.blocks_the_loop]


def why_early(event: Event) -> str:
    """Why something came before its response, as far as it was seen."""
    if event.origin:
        return (
            f"it ran in {event.origin}. What your code starts itself begins before the response, "
            "and nobody waits for it: hand the function to background_tasks.add_task instead"
        )
    callers = [p for p in event.places if not PASSES_ON.search(source_of(p))]
    if not callers:
        return "it was done in the endpoint: hand the function to background_tasks.add_task"
    place = callers[-1]
    called = CALLED.search(source_of(place))
    if called:
        return (
            f"{line_at(place)} calls {called[1]} at once and hands add_task its result: "
            f"write add_task({called[1]}, ...), with the arguments behind the function"
        )
    return (
        f"it was done at {line_at(place)}, so the client had to wait for it: "
        "hand the function to background_tasks.add_task, do not call it"
    )


PASSES_ON = re.compile(r"\b(?:call_next|app)\(")
CALLED = re.compile(r"\badd_task\(\s*(\w+)\(")

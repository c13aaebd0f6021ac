"""The rows of a timeline as a failure shows them: marked, and shortened where much is alike."""

from __future__ import annotations

from collections import Counter

from dojo.harness.client import Client
from dojo.harness.frames import Place, shortened, shown, source_of
from dojo.harness.timeline import MADE, Event, Timeline
from dojo.plugin.causes import alike, body_of
from dojo.plugin.failures import Row

ROWS = 60
DETAIL = 300
ALIKE = 3
LOOP = 6
MOST = 5_000
SILENT = (
    "request",
    "response",
    "finished",
    "raised",
    "log",
    "held",
    "released",
    "gone",
    "restart",
)

Story = tuple[tuple[str, str, bool, bool], ...]


def rows_of(timeline: Timeline, client: Client | None = None) -> list[Row]:
    """The events that a failure shows, in order.

    Requests that went like others, and long runs of the same events, are shown three times.
    """
    events = list(timeline)[:MOST]
    marked = {id(event) for event in events if is_marked(event, timeline)}
    bodies = {
        exchange.number: body_of(exchange)
        for exchange in (client.exchanges if client is not None else [])
        if exchange.responded and int(exchange.response.status_code) >= 400
    }
    kept, more = _without_what_is_alike(events, marked)
    told: set[Place] = set()
    rows = []
    for number, event in enumerate(kept):
        if number >= ROWS and id(event) not in marked:
            continue
        row = row_of(event, more.get(id(event), ""), marked=id(event) in marked)
        body = bodies.get(event.exchange or 0)
        if event.kind == "response" and body:
            row.detail = shortened(f"{row.detail}: {body}", DETAIL)
        if row.marked and event.places and event.places[0] not in told:
            told.add(event.places[0])
            place = event.places[0]
            row.file, row.line, row.source = shown(place[0]), place[1], source_of(place)
        rows.append(row)
    if len(kept) > ROWS:
        rows.append(Row("", more=f"and {len(kept) - ROWS} more"))
    return rows


def is_marked(event: Event, timeline: Timeline) -> bool:
    """Whether an event is one that the spec objects to."""
    return (
        event.blocks_the_loop
        or (event.kind in ("raised", "refused") and not event.was_made)
        or any(event is marked for marked in timeline.marked)
    )


def row_of(event: Event, more: str = "", *, marked: bool) -> Row:
    """The row of one event; `more` is what is said below it."""
    thread = "event loop" if event.on_loop else "worker thread"
    return Row(
        event.kind,
        shortened(event.detail.removesuffix(f": {MADE}"), DETAIL),
        event.exchange or 0,
        "" if event.kind in SILENT else thread,
        marked,
        event.was_made,
        more=more,
    )


def _story(events: list[Event], marked: set[int]) -> Story:
    """The events without what differs between those that are alike."""
    return tuple((e.kind, alike(e.detail), e.on_loop, id(e) in marked) for e in events)


def _without_what_is_alike(
    events: list[Event], marked: set[int]
) -> tuple[list[Event], dict[int, str]]:
    """The events without those that are alike, and what to say of these behind which event.

    Left out are further exchanges that went alike, and long runs of the same events.
    """
    of: dict[int | None, list[Event]] = {}
    for event in events:
        of.setdefault(event.exchange, []).append(event)
    stories = {exchange: _story(its, marked) for exchange, its in of.items()}
    count = Counter(story for exchange, story in stories.items() if exchange is not None)
    seen: Counter[Story] = Counter()
    hidden = set()
    for exchange, story in stories.items():
        if exchange is not None and count[story] > ALIKE + 1:
            seen[story] += 1
            if seen[story] > ALIKE:
                hidden.add(exchange)
    kept = [event for event in events if event.exchange not in hidden]
    more: dict[int, str] = {}
    for story in seen:
        last = [event for event in kept if stories[event.exchange] == story][-1]
        more[id(last)] = f"{count[story] - ALIKE} more requests like these"
    return _without_runs(kept, more), more


def _without_runs(events: list[Event], more: dict[int, str]) -> list[Event]:
    """The events, of more than four repetitions in a row the first three.

    A repetition is one event, or a few: a loop asks and sleeps in turn.
    """
    looks = [(e.kind, alike(e.detail), e.exchange, e.on_loop) for e in events]
    kept: list[Event] = []
    start = 0
    while start < len(events):
        length, times = _repeated(looks, start)
        run = events[start : start + length * times]
        if any(id(event) in more for event in run):
            run, times = events[start : start + 1], 1
        start += len(run)
        if times > ALIKE + 1:
            run = run[: length * ALIKE]
            what = "more like these" if length == 1 else f"times the same {length} again"
            more[id(run[-1])] = f"{times - ALIKE} {what}"
        kept += run
    return kept


def _repeated(looks: list[tuple[str, str, int | None, bool]], start: int) -> tuple[int, int]:
    """How many events from `start` on are repeated, and how often; 1 and 1 where few are."""
    for length in range(1, LOOP + 1):
        first = looks[start : start + length]
        times = 1
        while looks[start + times * length : start + (times + 1) * length] == first:
            times += 1
        if times > ALIKE + 1:
            return length, times
    return 1, 1

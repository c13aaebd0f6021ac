"""The timeline as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dojo.harness.exchange import Client
from dojo.harness.frames import Place, line_at, shortened
from dojo.harness.timeline import MADE, Event, Timeline
from dojo.plugin.causes import alike, body_of

ROWS = 60
DETAIL = 51
ALIKE = 3
LOOP = 6
MOST = 5_000
SILENT = ("request", "response", "finished", "raised", "log", "held", "released")
LEGEND = "> marks what the spec objects to"


def rows(timeline: Timeline, client: Client | None = None) -> Iterator[str]:
    """What happened, a line each, shortened where much of it is alike; `>` marks what a spec took
    exception to."""
    events = list(timeline)[:MOST]
    if not events:
        yield "  nothing happened"
        return
    marked = {id(event) for event in events if is_marked(event, timeline)}
    bodies = _bodies(client)
    several = len({event.exchange for event in events if event.exchange}) > 1
    kept, more = _without_what_is_alike(events, marked)
    told: set[Place] = set()
    for number, event in enumerate(kept):
        if number >= ROWS and id(event) not in marked:
            continue
        detail = event.detail
        if event.kind == "response" and event.exchange in bodies:
            detail += bodies[event.exchange]
        yield _row(event, detail.removesuffix(f": {MADE}"), several, id(event) in marked)
        indent = " " * (15 if several else 12)
        if event.was_made:
            yield f"{indent}({MADE})"
        if id(event) in marked and event.places and event.places[0] not in told:
            told.add(event.places[0])
            yield f"{indent}at {line_at(event.places[0])}"
        if id(event) in more:
            yield f"  … {more[id(event)]}"
    if len(kept) > ROWS:
        yield f"  … and {len(kept) - ROWS} more"
    if marked:
        yield f"  ({LEGEND})"


def is_marked(event: Event, timeline: Timeline) -> bool:
    return (
        event.blocks_the_loop
        or (event.kind in ("raised", "refused") and not event.was_made)
        or any(event is marked for marked in timeline.marked)
    )


def _row(event: Event, detail: str, several: bool, marked: bool) -> str:
    number = f"{event.exchange or '':>2} " if several else ""
    thread = "" if event.kind in SILENT else "event loop" if event.on_loop else "worker thread"
    mark = ">" if marked else " "
    room = DETAIL - len(number)
    if not thread:
        return f"{mark} {number}{event.kind:<9} {shortened(detail, room + 14)}"
    return f"{mark} {number}{event.kind:<9} {shortened(detail, room):<{room}} {thread}"


def _bodies(client: Client | None) -> dict[int | None, str]:
    """What the responses say that refuse something."""
    exchanges = client.exchanges if client is not None else []
    return {e.number: body_of(e) for e in exchanges if int(e.status) >= 400}


Look = tuple[str, str, int | None, bool]
Story = tuple[tuple[str, str, bool, bool], ...]


def _stories(events: list[Event], marked: set[int]) -> dict[int | None, Story]:
    """What happened in each exchange, without what differs between those that went alike."""
    told: dict[int | None, list[tuple[str, str, bool, bool]]] = {}
    for event in events:
        entry = (event.kind, alike(event.detail), event.on_loop, id(event) in marked)
        told.setdefault(event.exchange, []).append(entry)
    return {exchange: tuple(story) for exchange, story in told.items()}


def _without_what_is_alike(
    events: list[Event], marked: set[int]
) -> tuple[list[Event], dict[int, str]]:
    """The events without those of further exchanges that went alike, and without long runs of one
    and the same; beside it, what is to be said of them behind which event."""
    stories = _stories(events, marked)
    count = Counter(story for exchange, story in stories.items() if exchange is not None)
    shown: Counter[Story] = Counter()
    hidden = set()
    for exchange, story in stories.items():
        if exchange is not None and count[story] > ALIKE + 1:
            shown[story] += 1
            if shown[story] > ALIKE:
                hidden.add(exchange)
    kept = [event for event in events if event.exchange not in hidden]
    more: dict[int, str] = {}
    for story in shown:
        last = [event for event in kept if stories[event.exchange] == story][-1]
        more[id(last)] = f"{count[story] - ALIKE} more requests like these"
    return _without_runs(kept, more), more


def _without_runs(events: list[Event], more: dict[int, str]) -> list[Event]:
    """Of what is repeated more than four times in a row, the first three times: one event, or a
    few, as a loop has them that asks and sleeps."""
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


def _repeated(looks: list[Look], start: int) -> tuple[int, int]:
    """How many events from `start` on are repeated, and how often; one of them, once, where nothing
    is repeated often enough to be cut."""
    for length in range(1, LOOP + 1):
        first = looks[start : start + length]
        times = 1
        while looks[start + times * length : start + (times + 1) * length] == first:
            times += 1
        if times > ALIKE + 1:
            return length, times
    return 1, 1

"""Find what lies behind a red spec: a request without a route, an exception, an idle task."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dojo.harness import frames
from dojo.harness.environment import Environment
from dojo.harness.exchange import Exchange, NoResponseError
from dojo.harness.frames import Place
from dojo.harness.response import Status
from dojo.harness.tasks import Added
from dojo.harness.timeline import Event, Order, Timeline, why_early
from dojo.plugin.failures import Response
from dojo.plugin.values import plain

BODY = 300
MISTAKES = (AttributeError, ImportError, NameError, RecursionError, TypeError)
CHANGING = (
    (re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8}[0-9a-fA-F-]*\b"), "#"),
    (re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""), "'…'"),
    (re.compile(r"\d+"), "#"),
)


@dataclass
class Cause:
    """A reason for which several specs fail.

    Two specs with the same `key` fail for one reason. `message` is empty where the spec's own says
    it better. `place` is a line of the solution, where it is about one.
    """

    key: str
    message: str = ""
    likely: str = ""
    note: str = ""
    place: Place | None = None


def alike(text: str) -> str:
    """A text without what differs from one run, or one case, to the next."""
    for pattern, instead in CHANGING:
        text = pattern.sub(instead, text)
    return text


def cause_of(error: BaseException, environment: Environment | None) -> Cause | None:
    """Find what lies behind an error that a spec ended with; None where nothing was seen."""
    if isinstance(error, NoResponseError):
        return _of_an_exception(error.cause) if error.cause is not None else None
    if not isinstance(error, AssertionError):
        return _of_an_exception(error)
    if environment is None or environment.client is None:
        return None
    exchanges = environment.client.exchanges
    for exchange in exchanges:
        if exchange.left_behind:
            said_already = error.args[:1] == (exchange.left_behind,)
            return Cause(
                alike(exchange.left_behind.replace(exchange.name, "")),
                "" if said_already else exchange.left_behind,
            )
        unserved = _unserved(exchange)
        if unserved is not None:
            return unserved
    if any(event.was_made for event in environment.timeline):
        return None
    for exchange in exchanges:
        if exchange.raised is not None and not exchange.may_raise:
            return _of_a_task(exchange.raised, environment)
        idle = [added for added in environment.tasks.of(exchange.number) if not added.ran]
        refused = exchange.responded and int(exchange.response.status_code) >= 400
        if idle and exchange.finished and exchange.raised is None and not refused:
            return Cause(
                f"never ran {idle[0].where}",
                f"the background task {idle[0].name} was made and never ran",
                _why_idle(idle[0]),
                place=idle[0].place,
            )
    for kept in environment.timeline.errors:
        if kept.kind in [mistake.__name__ for mistake in MISTAKES]:
            return Cause(alike(kept.raised), f"an exception {kept.became}: {kept.raised}")
    return None


def _of_an_exception(error: BaseException) -> Cause:
    place = frames.place_of(error)
    return Cause(f"{type(error).__name__} at {place or alike(str(error))}")


def _of_a_task(error: BaseException, environment: Environment) -> Cause:
    added = environment.tasks.failed_with(error)
    said = frames.said_by(error)
    name = f"the background task {added.name}" if added else "the work after the response"
    if added and not added.is_callable:
        name = "a background task"
    place = frames.place_of(error)
    found = Cause(f"{type(error).__name__} at {place or alike(said)}", f"{name} failed: {said}")
    if added is not None:
        found.likely = added.misfit()
        found.place = None if place else added.place
        if not place and not found.likely:
            found.note = f"the task was added at {added.where}"
    return found


def _unserved(exchange: Exchange) -> Cause | None:
    """Say why the app did not take a request; None where it did, or the spec expected that."""
    if not exchange.responded:
        return None
    status = exchange.response.status_code
    if status.expected:
        return None
    if int(status) in (404, 405) and not exchange.is_served():
        return Cause(
            f"{status} {exchange.name}",
            f"{exchange.name} got {status:d}: your app has no such route",
            _near_routes(exchange),
        )
    if int(status) == 422:
        return Cause(f"422 {[_shown_error(e) for e in _errors(exchange)]}")
    return None


def _near_routes(exchange: Exchange) -> str:
    own = exchange.routes()
    if not own:
        return (
            "your app has no routes at all: is the endpoint decorated with @app.post or @app.get?"
        )
    near = difflib.get_close_matches(exchange.name, own, n=3, cutoff=0.6) or own[:6]
    return f"your app has {', '.join(near)}: is the path or the method another one?"


def unexpected_responses(value: object, expected: object) -> Iterator[Exchange]:
    """The exchanges whose statuses are in `value` and not as expected."""
    for status, should in _statuses(value, expected):
        if status.exchange is not None and int(status) != should:
            yield status.exchange


def _statuses(value: object, expected: object) -> Iterator[tuple[Status, object]]:
    if isinstance(value, Status):
        yield value, expected
    elif isinstance(value, list | tuple):
        others = expected if isinstance(expected, list | tuple) else []
        for number, entry in enumerate(value):
            yield from _statuses(entry, others[number] if number < len(others) else None)


def response_of(exchange: Exchange) -> Response:
    """The response of an exchange, with the fields of the request that FastAPI refused."""
    refused = [_shown_error(error) for error in _errors(exchange)]
    status = int(exchange.response.status_code)
    return Response(status, exchange.name, body_of(exchange), refused)


def why_refused(exchange: Exchange) -> list[str]:
    """The likely reasons for which FastAPI took a parameter for a part of the request."""
    return [
        f"`{name}` has no type, so FastAPI takes it for a part of the request: "
        f"write `{name}: BackgroundTasks`"
        for error in _errors(exchange)
        for name in (error.get("loc") or [""])[-1:]
        if error.get("type") == "missing" and "task" in str(name)
    ]


def body_of(exchange: Exchange) -> str:
    """The body of a response as text; empty where `refused` holds all that it says."""
    body = exchange.response.content if exchange.responded else b""
    if not body or _errors(exchange):
        return ""
    return frames.shortened(body.decode("utf-8", "replace"), BODY)


def _errors(exchange: Exchange) -> list[dict[str, Any]]:
    """The errors that FastAPI lists when it refuses a request with 422."""
    if not exchange.responded or int(exchange.response.status_code) != 422:
        return []
    try:
        body = exchange.response.json()
    except AssertionError:
        return []
    detail = body.get("detail") if isinstance(body, dict) else None
    return [e for e in detail if isinstance(e, dict)] if isinstance(detail, list) else []


def _shown_error(error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error.get("loc") or ())
    given = f", and was {plain(error['input'])}" if error.get("input") is not None else ""
    return f"{where}: {error.get('msg', '')}{given}"


def why_disorder(
    happened: Order, expected: list[str], timeline: Timeline, tasks: list[Added]
) -> tuple[str, str]:
    """Say in which way events came in a wrong order, and why, as far as it was seen."""
    missing = [name for name in expected if name not in happened]
    if missing:
        return f"there was no {missing[0]!r}", _why_missing(tasks)
    if "response" in expected:
        late = expected[expected.index("response") :]
        early = [name for name in happened[: happened.index("response")] if name in late]
        for event in timeline:
            if early and event.is_a(early[0]):
                return f"{early[0]!r} came before the response", why_early(event)
    twice = next((name for name in happened if happened.count(name) > 1), None)
    return (
        f"{twice!r} came more than once" if twice else "the jobs came in another order",
        _why_in_this_order(happened, timeline, tasks),
    )


def _why_in_this_order(happened: Order, timeline: Timeline, tasks: list[Added]) -> str:
    own = next((e for e in _events(timeline, happened) if e.origin and e.after_response), None)
    if own is not None:
        return (
            f"{own.kind!r} ran in {own.origin}: what your code starts itself runs at the same time "
            "as the rest. Give the jobs to add_task one after another, or await one before the next"
        )
    ran = [added for added in tasks if added.ran]
    if len(ran) == 1:
        return f"one background task, {ran[0].name}, does all of it: look at the order in there"
    lines = "; ".join(added.where for added in ran[:4])
    return f"tasks run in the order in which they are added, and they were added like this: {lines}"


def _events(timeline: Timeline, names: list[str]) -> Iterator[Event]:
    return (event for event in timeline if any(event.is_a(name) for name in names))


def _why_idle(added: Added) -> str:
    return (
        "only the BackgroundTasks that FastAPI hands to the endpoint, or that a response carries "
        f"as its `background`, are run. The line: {added.where}"
    )


def _why_missing(tasks: list[Added]) -> str:
    if not tasks:
        return "no background task was made: add_task was never called"
    idle = next((added for added in tasks if not added.ran), None)
    if idle is not None:
        return f"the task {idle.name} was made and never ran: {_why_idle(idle)}"
    wrong = next((said for added in tasks if (said := added.misfit())), "")
    if wrong:
        return wrong
    silent = next((added for added in tasks if added.name == "<lambda>"), None)
    if silent is not None:
        return (
            "a lambda that calls an `async def` function only makes a coroutine, which nobody "
            f"awaits: give add_task the function itself. The line: {silent.where}"
        )
    return (
        f"the task {tasks[-1].name} ran: does it do the work, or hand it to something that nobody "
        "waits for?"
    )

"""Turn the error that a spec ended with into a failure: what is wrong, where, and why."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path

from dojo.harness import frames
from dojo.harness.environment import Environment
from dojo.harness.exchange import NoResponseError
from dojo.harness.holds import NotReachedError
from dojo.harness.time_limit import TimeLimitError
from dojo.lights import Light
from dojo.plugin.assertions import explanation_of
from dojo.plugin.causes import Cause, cause_of
from dojo.plugin.failures import Failure, title_of
from dojo.plugin.patience import NotRunError
from dojo.plugin.rows import rows_of
from dojo.plugin.values import without_stand_ins
from dojo.solutions import SolutionLoadError

PRINTED = 2_000
WIDTH = 1_500
TRACEBACKS = 3


def failure(
    kata: str,
    name: str,
    why: str,
    error: BaseException,
    environment: Environment | None,
    printed: str,
    node: str = "",
) -> Failure:
    """Describe `error`, which the spec `name` of `kata` ended with."""
    error = _first_cause(error, environment)
    found = Failure(
        kata,
        title_of(name),
        inspect.cleandoc(why).partition("\n\n")[0],
        _light(error),
        asserted=isinstance(error, AssertionError) and not isinstance(error, NoResponseError),
        left_out=isinstance(error, NotRunError),
        where=_where(error),
        printed=cut(printed),
        node=node,
    )
    _say_what_happened(found, error, environment)
    cause = cause_of(error, environment)
    if cause is not None:
        _put_first(cause, found)
    if environment is not None:
        if found.asserted:
            _note_faults(found, environment)
        found.tracebacks = _tracebacks(error, environment)
        found.timeline = rows_of(environment.timeline, environment.client)
        found.request = next((exchange.name for exchange in environment.exchanges), "")
    found.file, found.line = _place(found, error, cause)
    return found


def cut(text: str) -> str:
    """The beginning of what a solution has printed."""
    if len(text) <= PRINTED:
        return text
    return f"{text[:PRINTED]}\n… cut, {len(text):,} characters in all"


def _first_cause(error: BaseException, environment: Environment | None) -> BaseException:
    """The error to report: an exchange without a response explains why a spec waited in vain.

    So does one that left its work behind.
    """
    if environment is None or not isinstance(error, AssertionError):
        return error
    for exchange in environment.exchanges:
        no_response = exchange.no_response()
        if no_response is not None and (
            isinstance(error, NotReachedError) or isinstance(no_response.cause, NotImplementedError)
        ):
            return no_response.with_traceback(error.__traceback__)
        if exchange.left_behind and isinstance(error, NotReachedError):
            return AssertionError(exchange.left_behind).with_traceback(error.__traceback__)
    return error


def _say_what_happened(
    found: Failure, error: BaseException, environment: Environment | None
) -> None:
    if isinstance(error, NoResponseError | SolutionLoadError | TimeLimitError):
        found.message = _shown(str(error))
    elif not isinstance(error, AssertionError):
        found.message = _shown(frames.said_by(error))
    else:
        timeline = environment.timeline if environment is not None else None
        said, explained = explanation_of(error, timeline)
        headline = explained.headline or "the result is not the expected one"
        first, *further = said or [headline]
        found.message, found.said = _shown(first), [_shown(line) for line in further]
        found.compared, found.responses = explained.compared, explained.responses
        early = [timeline.likely] if timeline is not None and timeline.likely else []
        found.likely = list(dict.fromkeys([*explained.likely, *early]))


def _shown(text: str) -> str:
    return frames.shortened(without_stand_ins(text), WIDTH)


def _put_first(cause: Cause, found: Failure) -> None:
    """Say first what lies behind a failure, and then what the spec says of it."""
    found.cause = cause.key
    if not cause.message:
        return
    found.so, found.message = found.message, _shown(cause.message)
    if cause.likely:
        found.likely = [cause.likely]
    if cause.note:
        found.notes = [cause.note]


def _note_faults(found: Failure, environment: Environment) -> None:
    """Note what the spec has made fail, and what came of it."""
    made = [f"{event.kind} {event.detail}" for event in environment.timeline if event.was_made]
    found.notes += list(dict.fromkeys(made))[:2]
    for exchange in environment.exchanges if made else []:
        if exchange.raised is not None and not exchange.may_raise:
            said = frames.said_by(exchange.raised)
            found.likely.append(f"your code does not catch what comes of it: {said}")
            return


def _light(error: BaseException) -> Light:
    if isinstance(error, SolutionLoadError):
        return "grey" if not error.file.is_file() else "amber"
    cause = error.cause if isinstance(error, NoResponseError) else error
    return "grey" if isinstance(cause, NotImplementedError) else "red"


def _where(error: BaseException) -> str:
    """The line of the spec that failed."""
    if isinstance(error, SolutionLoadError | TimeLimitError):
        return ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.name.startswith("test_k"):
            shown = frames.shown(path)
            folder = f"{path.parent.name}/" if shown == path.name else ""
            return f"{folder}{shown}:{frame.lineno}"
    return ""


def _tracebacks(error: BaseException, environment: Environment) -> list[frames.Traceback]:
    """The parts of tracebacks that lie in the solution: of what was raised, and only logged."""
    raised = [e.raised for e in environment.exchanges if e.raised]
    found = [shown for e in dict.fromkeys([*raised, error]) if (shown := frames.traceback_of(e))]
    known = [(shown.frames, shown.raised) for shown in found]
    found += [e for e in environment.timeline.errors if (e.frames, e.raised) not in known]
    return found[-TRACEBACKS:]


def _place(found: Failure, error: BaseException, cause: Cause | None) -> tuple[str, int]:
    """The file and the line of the solution to look at; no line where none is known."""
    if found.tracebacks:
        frame = found.tracebacks[-1].frames[-1]
        return frame.file, frame.line
    if isinstance(error, SolutionLoadError):
        return frames.shown(error.file), error.line
    if isinstance(error, TimeLimitError) and error.line:
        return frames.shown(error.place.file), error.line
    if cause is not None and cause.place is not None:
        return frames.shown(cause.place[0]), cause.place[1]
    return "", 0

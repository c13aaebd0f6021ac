"""What is said about a red spec: the sentence, what happened, the learner's own frames, and the
timeline."""

from __future__ import annotations

import inspect
import re
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dojo.harness import frames
from dojo.harness.environment import Environment
from dojo.harness.exchange import NoResponseError
from dojo.harness.holds import NotReachedError
from dojo.harness.tasks import Tasks
from dojo.harness.time_limit import TimeLimitError
from dojo.harness.timeline import Order, Timeline
from dojo.plugin.causes import cause_of, response_lines, why_disorder
from dojo.plugin.rows import rows
from dojo.plugin.values import ADDRESS, compared, failed
from dojo.solutions import SolutionLoadError

LEFT_OUT = "not run: "
PRINTED = 2_000
WIDTH = 1_500
FRAMES = 12
ASKED = re.compile(r"\s*\+\s+where (?:True|False) = (.+)")
ASKING = (
    (re.compile(r"all\((.+)\)"), "all of them to be there"),
    (re.compile(r"any\((.+)\)"), "one of them to be there"),
    (re.compile(r"isinstance\((.+), (.+)\)"), "a value of the type {}"),
)
NAMES = {"api": "API", "csv": "CSV", "http": "HTTP", "id": "id", "json": "JSON", "png": "PNG"}
NAMES |= {
    "ai": "AI",
    "jpeg": "JPEG",
    "smtp": "SMTP",
    "sql": "SQL",
    "url": "URL",
    "utc": "UTC",
    "z": "Z",
}
PHRASES = {"utf 8": "UTF-8", "e mail": "e-mail", "time out": "time-out"}
PHRASES |= {"retry after": "Retry-After", "content type": "Content-Type"}


@dataclass
class Failure:
    """A red spec, as plain data that goes through xdist and into a results file.

    `asserted` says that an assertion of the spec failed, as opposed to a solution that crashed.
    Specs with the same `cause` fail for one reason; `node` is the spec's id, as pytest takes it.
    """

    kata: str
    title: str
    why: str = ""
    light: str = "red"
    asserted: bool = False
    message: str = ""
    details: list[str] = field(default_factory=list)
    where: str = ""
    frames: list[str] = field(default_factory=list)
    timeline: list[str] = field(default_factory=list)
    printed: str = ""
    cause: str = ""
    node: str = ""

    @property
    def left_out(self) -> bool:
        """Whether the spec was not run, because others of its kata did not finish."""
        return self.message.startswith(LEFT_OUT)

    @classmethod
    def read(cls, data: dict[str, Any]) -> Failure:
        return cls(**data)

    def write(self) -> dict[str, Any]:
        return asdict(self)

    def text(self) -> str:
        """All but the timeline and the prints, as pytest's own reports and JUnit show it."""
        parts = [self.message, *(f"  {line}" for line in self.details)]
        if self.frames:
            parts += ["", "in your code:", *(f"  {line}" for line in self.frames)]
        return "\n".join([*parts, "", self.where] if self.where else parts)


def title_of(name: str) -> str:
    """The sentence that a spec's name is: `test_the_mail_leaves[no]` is `the mail leaves (no)`."""
    sentence, _, case = name.removeprefix("test_").partition("[")
    case = f" ({case.removesuffix(']')})" if case else ""
    words = " ".join(NAMES.get(word, word) for word in sentence.split("_"))
    words = re.sub(r"(?<=[a-z]) s(?= |$)", "'s", words)
    for phrase, instead in PHRASES.items():
        words = re.sub(rf"\b{phrase}\b", instead, words)
    return words + case


def failure(
    kata: str,
    name: str,
    why: str,
    error: BaseException,
    environment: Environment | None,
    printed: str,
    node: str = "",
) -> Failure:
    """What to say of `error`, which a spec of `kata` ended with."""
    error = _first_cause(error, environment)
    found = Failure(kata=kata, title=title_of(name), why=inspect.cleandoc(why).partition("\n\n")[0])
    found.node = node
    found.where = _where(error)
    found.message, found.details = _message(error, environment)
    found.light = _light(error)
    found.asserted = isinstance(error, AssertionError) and not isinstance(error, NoResponseError)
    found.printed = printed[:PRINTED] + (
        f"\n… cut, {len(printed):,} characters in all" if len(printed) > PRINTED else ""
    )
    _add_the_cause(found, error, environment)
    if environment is not None:
        found.frames = _learners_frames(error, environment)
        found.timeline = list(rows(environment.timeline, environment.client))
    return found


def _add_the_cause(found: Failure, error: BaseException, environment: Environment | None) -> None:
    """Say first what lies behind a failure, and then what the spec says of it."""
    cause = cause_of(error, environment)
    if cause is not None:
        found.cause = cause.key
        if cause.message:
            said = f"so        {found.message}"
            guessed = [row for row in found.details if row.startswith("likely ")]
            own = [r for r in found.details if not (cause.details and r in guessed)]
            found.details = [*cause.details, said, *own]
            found.message = cause.message
    if environment is not None and found.asserted:
        found.details += _faults(environment)


def _faults(environment: Environment) -> list[str]:
    """What the spec has made fail, and what came of it."""
    made = [f"{event.kind} {event.detail}" for event in environment.timeline if event.was_made]
    notes = [f"note      {fault}" for fault in list(dict.fromkeys(made))[:2]]
    for exchange in environment.client.exchanges if environment.client and made else []:
        if exchange.raised is not None and not exchange.may_raise:
            said = frames.said_by(exchange.raised)
            return [*notes, f"likely    nobody in your code catches what comes of it: {said}"]
    return notes


def _first_cause(error: BaseException, environment: Environment | None) -> BaseException:
    """An exchange that got no response, or left its work behind, explains why a spec waited in vain
    for what comes after it."""
    if environment is None or environment.client is None or not isinstance(error, AssertionError):
        return error
    for exchange in environment.client.exchanges:
        no_response = exchange.no_response()
        if no_response is not None and (
            isinstance(error, NotReachedError) or isinstance(no_response.cause, NotImplementedError)
        ):
            return no_response.with_traceback(error.__traceback__)
        if exchange.left_behind and isinstance(error, NotReachedError):
            return AssertionError(exchange.left_behind).with_traceback(error.__traceback__)
    return error


def _message(error: BaseException, environment: Environment | None) -> tuple[str, list[str]]:
    if isinstance(error, NoResponseError | SolutionLoadError | TimeLimitError):
        return frames.shortened(str(error), WIDTH), []
    if not isinstance(error, AssertionError):
        return frames.said_by(error), []
    said, _, explained = f"\n{error}".partition("\nassert ")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    known = environment.timeline.compared if environment is not None else []
    headline = environment.timeline.headline if environment is not None and known else ""
    first, *rest = list(dict.fromkeys(lines)) or [
        headline or "what happened is not what was expected"
    ]
    if known and known[0] in explained:
        rest = [*known, *(row for row in rest if row not in known)]
    elif explained:
        rest = [*_truth(explained), *rest]
    return frames.shortened(first, WIDTH), [frames.shortened(row, WIDTH) for row in rest]


def _truth(explained: str) -> list[str]:
    """What pytest says of an assertion that is no comparison: a value that should be true, or
    not."""
    first, *rest = explained.splitlines()
    wanted = "something else" if first.startswith("not ") else "something that is true"
    value = first.removeprefix("not ")
    asked = [found[1] for line in rest if (found := ASKED.match(line))]
    if value in ("True", "False") and asked:
        value, wanted = _asked(asked[0], wanted)
    if ADDRESS.search(value):
        return []
    return [f"happened  {frames.shortened(value, 400)}", f"expected  {wanted}"]


def _asked(call: str, wanted: str) -> tuple[str, str]:
    """What a call that gave True or False was asked about, and what for."""
    for pattern, expected in ASKING:
        found = pattern.fullmatch(call)
        if found is not None:
            return found[1], expected.format(*found.groups()[1:])
    return call, wanted


def _light(error: BaseException) -> str:
    if isinstance(error, SolutionLoadError):
        return "grey" if not error.file.is_file() else "amber"
    cause = error.cause if isinstance(error, NoResponseError) else error
    return "grey" if isinstance(cause, NotImplementedError) else "red"


def _where(error: BaseException) -> str:
    if isinstance(error, SolutionLoadError | TimeLimitError):
        return ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.name.startswith("test_k"):
            shown = frames.shown(path)
            return (
                f"{shown if shown != path.name else f'{path.parent.name}/{shown}'}:{frame.lineno}"
            )
    return ""


def _learners_frames(error: BaseException, environment: Environment) -> list[str]:
    """The parts of tracebacks that lie in the solution: of what was raised, and what was only
    logged."""
    raised = (
        [e.raised for e in environment.client.exchanges if e.raised] if environment.client else []
    )
    told = [frames.traceback_of(shown) for shown in dict.fromkeys([*raised, error])]
    for became, kept in environment.timeline.errors:
        if kept not in told:
            told.append([f"this exception {became}:", *kept])
    return [row for shown in told for row in shown][-FRAMES:]


def explain(
    op: str, left: object, right: object, timeline: Timeline, tasks: Tasks | None
) -> list[str] | None:
    """The lines that `assert left op right` is explained with, in a spec; None where pytest's own
    do."""
    if not failed(op, left, right):
        return None
    if isinstance(left, Order) and isinstance(right, list) and op == "==":
        timeline.mark_disorder(left, right)
        wrong, why = why_disorder(left, right, timeline, tasks.added if tasks else [])
        timeline.headline = wrong
        lines = [f"happened  {_listed(left)}", f"expected  {_listed(right)}", f"likely    {why}"]
    else:
        lines = [*compared(op, left, right), *response_lines(left, right)]
        timeline.headline = ""
    timeline.compared = lines
    return [f"left {op} right", *lines]


def _listed(names: object) -> str:
    return ", then ".join(names) if isinstance(names, list) and names else "nothing of the kind"

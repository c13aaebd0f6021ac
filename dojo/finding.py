"""What is said about a red spec: the sentence, what happened, the learner's own frames, and the
timeline."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dojo.exchange import NoResponse
from dojo.holds import NeverCame
from dojo.limit import Overtime
from dojo.solutions import DoesNotLoad
from dojo.stage import Stage
from dojo.timeline import Event, Order, Timeline

PRINTED = 2_000
ROWS = 60
WIDTH = 400
DETAIL = 52
SILENT = ("request", "response", "finished", "raised", "log")


@dataclass
class Finding:
    """A red spec, as plain data that goes through xdist and into a results file.

    `asserted` says that an assertion of the spec failed, as opposed to a solution that crashed.
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

    @classmethod
    def read(cls, data: dict[str, Any]) -> Finding:
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
    return sentence.replace("_", " ") + case


def finding(
    kata: str, name: str, why: str, error: BaseException, scene: Stage | None, printed: str
) -> Finding:
    """What to say of `error`, which a spec of `kata` ended with."""
    error = _first_cause(error, scene)
    found = Finding(kata=kata, title=title_of(name), why=inspect.cleandoc(why).partition("\n\n")[0])
    found.where = _where(error)
    found.message, found.details = _message(error)
    found.light = _light(error)
    found.asserted = isinstance(error, AssertionError) and not isinstance(error, NoResponse)
    found.printed = printed[:PRINTED] + (
        f"\n… cut, {len(printed):,} characters in all" if len(printed) > PRINTED else ""
    )
    if scene is not None:
        found.frames = _learners_frames(error, scene)
        found.timeline = list(rows(scene.timeline))
    return found


def _first_cause(error: BaseException, scene: Stage | None) -> BaseException:
    """An exchange that got no response, or left its work behind, explains why a spec waited in vain
    for what comes after it."""
    if scene is None or scene.client is None or not isinstance(error, AssertionError):
        return error
    for exchange in scene.client.exchanges:
        no_response = exchange.no_response()
        if no_response is not None and (
            isinstance(error, NeverCame) or isinstance(no_response.cause, NotImplementedError)
        ):
            return no_response.with_traceback(error.__traceback__)
        if exchange.left_behind and isinstance(error, NeverCame):
            return AssertionError(exchange.left_behind).with_traceback(error.__traceback__)
    return error


def _message(error: BaseException) -> tuple[str, list[str]]:
    if isinstance(error, NoResponse | DoesNotLoad | Overtime):
        return str(error), []
    if isinstance(error, AssertionError):
        said, _, explained = f"\n{error}".partition("\nassert ")
        lines = [line.strip()[:WIDTH] for line in explained.splitlines() if line.strip()]
        first, *rest = [line for line in said.strip().splitlines() if line.strip()] or ["", ""]
        told = [line for line in lines if line.startswith(("happened ", "expected ", "likely "))]
        details = [*rest, *(told or ([] if first else lines))]
        return (first or "what happened is not what was expected")[:WIDTH], [
            line for line in details if line
        ]
    return f"{type(error).__name__}: {str(error)[:WIDTH]}", []


def _light(error: BaseException) -> str:
    if isinstance(error, DoesNotLoad):
        return "grey" if not error.file.is_file() else "amber"
    cause = error.cause if isinstance(error, NoResponse) else error
    return "grey" if isinstance(cause, NotImplementedError) else "red"


def _where(error: BaseException) -> str:
    if isinstance(error, DoesNotLoad | Overtime):
        return ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.name.startswith("test_k"):
            return f"{path.parent.name}/{path.name}:{frame.lineno}"
    return ""


def _learners_frames(error: BaseException, scene: Stage) -> list[str]:
    raised = [e.raised for e in scene.client.exchanges if e.raised] if scene.client else []
    frames: list[str] = []
    for shown in dict.fromkeys([*raised, error]):
        frames += _frames_of(shown)
    return frames[-12:]


def _frames_of(error: BaseException) -> list[str]:
    mine = [
        frame
        for frame in _walk(error)
        if frame[0].f_globals.get("__name__", "").startswith("katas.k")
    ]
    if not mine:
        return []
    shown = []
    for frame, line in mine[-4:]:
        code = frame.f_code
        source = traceback.linecache.getline(code.co_filename, line).strip()  # type: ignore[attr-defined]
        shown.append(f"{Path(code.co_filename).name}:{line} in {code.co_name}: {source}")
    return [*shown, f"{type(error).__name__}: {str(error)[:WIDTH]}"]


def _walk(error: BaseException) -> Iterator[tuple[Any, int]]:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__
    for link in reversed(chain):
        tb = link.__traceback__
        while tb is not None:
            yield tb.tb_frame, tb.tb_lineno
            tb = tb.tb_next


def rows(timeline: Timeline) -> Iterator[str]:
    """The timeline as lines; `>` marks what a spec took exception to."""
    events = list(timeline)
    several = len({event.exchange for event in events if event.exchange}) > 1
    for event in events[:ROWS]:
        mark = ">" if _is_marked(event, timeline) else " "
        number = f"{event.exchange or '':>2} " if several else ""
        thread = "" if event.kind in SILENT else _thread(event)
        detail = event.detail if len(event.detail) <= DETAIL else event.detail[: DETAIL - 1] + "…"
        yield f"{mark} {number}{event.kind:<9} {detail:<{DETAIL}} {thread}".rstrip()
    if len(events) > ROWS:
        yield f"  … and {len(events) - ROWS} more"
    if not events:
        yield "  nothing happened"


def _is_marked(event: Event, timeline: Timeline) -> bool:
    return (
        event.blocks_the_loop
        or event.kind in ("raised", "refused")
        or any(event is marked for marked in timeline.marked)
    )


def _thread(event: Event) -> str:
    return "event loop" if event.on_loop else "worker thread"


def explain_comparison(left: object, right: object) -> list[str]:
    """The lines that `assert left == right` is explained with, in a spec."""
    from _pytest._io.saferepr import saferepr

    lines = [
        "left == right",
        f"happened {_listed(left) if isinstance(left, Order) else saferepr(left, maxsize=WIDTH)}",
        f"expected {_listed(right) if isinstance(left, Order) else saferepr(right, maxsize=WIDTH)}",
    ]
    if isinstance(left, Order) and isinstance(right, list):
        lines.append(f"likely   {_likely(left, right)}")
    return lines


def _listed(names: object) -> str:
    return ", then ".join(names) if isinstance(names, list) and names else "nothing of the kind"


def _likely(happened: list[str], expected: list[str]) -> str:
    missing = [name for name in expected if name not in happened]
    if missing:
        return (
            f"there was no {missing[0]!r}: was the task added to the BackgroundTasks that FastAPI "
            "hands to the endpoint, was the function given and not its result, and did it run "
            "without an exception?"
        )
    if "response" in expected:
        early = [
            name
            for name in happened[: happened.index("response")]
            if name in expected[expected.index("response") :]
        ]
        if early:
            return (
                f"{early[0]!r} came before the response, so the client had to wait for it: "
                "do not call the function in the endpoint, hand it to background_tasks.add_task"
            )
    return (
        "the tasks ran in another order, or more than once: "
        "they run in the order in which they are added"
    )

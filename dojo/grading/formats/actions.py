"""GitHub Actions: annotations for what failed, and a table for the step's summary."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dojo.grading.formats import Context
from dojo.grading.formats._common import (
    clean,
    one_line,
    passed,
    reason_for,
    short_name,
    shortened,
    shown,
    verdict_on,
)
from dojo.grading.results import KataResult, Results, SpecResult, State, SubmissionResult

SUMMARY = "<!-- summary -->"
ANNOTATIONS = 10
TITLE = 200
MESSAGE = 4_000
# A summary of more than 1 MiB is refused, and other commands of the step may add to it.
TABLE_SPACE = 400_000
DETAILS_SPACE = 500_000
IN_DETAILS = 1_000
EVIDENCE = 20
LIGHTS = {"green": "🟢", "red": "🔴", "amber": "🟡", "grey": "⚪"}
STATES = {State.REVIEW: "🔎", State.TAMPERED: "🚩", State.UNGRADABLE: "⚠️"}

Pair = tuple[SubmissionResult, KataResult]


def emit(results: Results, _context: Context) -> str:
    """Workflow commands, then the line `SUMMARY`, then Markdown for `GITHUB_STEP_SUMMARY`."""
    pairs = [(submission, kata) for submission in results.submissions for kata in submission.katas]
    return "\n".join([*_commands(results, pairs), SUMMARY, *_summary(results, pairs), ""])


def split(text: str) -> tuple[str, str]:
    """Split the text of `emit` into the commands to print and the summary to append."""
    commands, _, summary = f"\n{text}".partition(f"\n{SUMMARY}\n")
    return commands.removeprefix("\n"), summary


def _commands(results: Results, pairs: list[Pair]) -> list[str]:
    """As many commands as GitHub shows for a step, the most important first."""
    several = len(results.submissions) > 1
    commands = [
        command
        for state in (State.UNGRADABLE, State.TAMPERED, State.REVIEW, State.GRADED)
        for submission, kata in pairs
        if kata.state is state
        for command in _of_kata(kata, f"{one_line(submission.name)}: " if several else "")
    ]
    if len(commands) <= ANNOTATIONS:
        return commands
    kept = commands[: ANNOTATIONS - 1]
    left = len(commands) - len(kept)
    return [*kept, _command(f"{left} more, in the summary", "GitHub shows ten at most for a step.")]


def _of_kata(kata: KataResult, owner: str) -> Iterator[str]:
    # Of several submissions none lies in the checkout, so a file would point at the wrong one.
    file = "" if owner else clean(kata.file)
    name = f"{owner}{short_name(kata)}"
    match kata.state:
        case State.UNGRADABLE:
            yield _command(f"{name} could not be graded", verdict_on(kata))
        case State.TAMPERED:
            yield _command(f"{name} gets no points", verdict_on(kata), file)
        case State.REVIEW | State.GRADED:
            if kata.state is State.REVIEW:
                yield _command(f"{name} is for review", verdict_on(kata), file, kind="warning")
            for spec in kata.specs:
                if not spec.passed:
                    title = f"{name}: {one_line(spec.title)}"
                    yield _command(title, reason_for(kata, spec), file, spec.line)


def _command(
    title: str, message: str, file: str = "", line: int = 0, *, kind: str = "error"
) -> str:
    location = {"file": file, "line": str(line or "")} if file else {}
    properties = {**location, "title": shortened(title, TITLE)}
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
    return f"::{kind} {given}::{_data(shortened(message, MESSAGE))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _summary(results: Results, pairs: list[Pair]) -> Iterator[str]:
    if not results.submissions:
        yield "No submissions were graded."
        return
    katas = {kata.kata: short_name(kata) for _, kata in sorted(pairs, key=lambda p: p[1].kata)}
    yield _row("Submission", "Score", *map(_harmless, katas.values()))
    yield "| --- |" + " --- |" * (len(katas) + 1)
    rows = [_row_of(submission, list(katas)) for submission in results.submissions]
    yield from _cut(rows, TABLE_SPACE, "submissions")
    if any(submission.not_begun for submission in results.submissions):
        yield "\nAn empty cell: the kata is not begun, and does not count.\n"
    details = [_details(*pair) for pair in pairs if _has_details(pair[1])]
    yield from _cut(details, DETAILS_SPACE, "katas that are not green")


def _cut(blocks: list[str], space: int, noun: str) -> Iterator[str]:
    for number, block in enumerate(blocks):
        space -= len(block.encode()) + 1
        if space < 0:
            yield f"\nCut here, since a summary holds 1 MiB: {len(blocks) - number} more {noun}.\n"
            return
        yield block


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _row_of(submission: SubmissionResult, katas: list[str]) -> str:
    cells = {kata.kata: f"{_light(kata)} {_score(kata)}" for kata in submission.katas}
    name = _harmless(shortened(one_line(submission.name), TITLE))
    return _row(name, _score(submission), *(cells.get(kata, "") for kata in katas))


def _score(of: SubmissionResult | KataResult) -> str:
    if of.score is None:
        return "could not be graded"
    return f"{shown(of.score)} / {shown(of.max_score)}"


def _light(kata: KataResult) -> str:
    return STATES.get(kata.state) or LIGHTS[kata.light]


def _has_details(kata: KataResult) -> bool:
    return kata.state is not State.GRADED or not all(spec.passed for spec in kata.specs)


def _details(submission: SubmissionResult, kata: KataResult) -> str:
    name = _harmless(shortened(one_line(submission.name), TITLE))
    title = _harmless(shortened(one_line(f"{short_name(kata)} {kata.title}"), TITLE))
    head = f"{_light(kata)} {name} {title} {_score(kata)}"
    items = [f"- {item}" for item in _items(kata)]
    return "\n".join(
        ["", f"<details><summary>{head}</summary>", "", *items, "", "</details>"],
    )


def _items(kata: KataResult) -> Iterator[str]:
    if kata.state is not State.GRADED:
        yield _harmless(shortened(verdict_on(kata), IN_DETAILS))
        yield from (_harmless(shortened(line, IN_DETAILS)) for line in kata.evidence[:EVIDENCE])
        if len(kata.evidence) > EVIDENCE:
            yield f"{len(kata.evidence) - EVIDENCE} more lines of evidence were cut"
    if kata.state is State.UNGRADABLE:
        return
    if kata.note:
        yield _harmless(shortened(one_line(kata.note), IN_DETAILS))
    yield from (_item(kata, spec) for spec in kata.specs if not passed(kata, spec))


def _item(kata: KataResult, spec: SpecResult) -> str:
    title = _harmless(shortened(one_line(spec.title), TITLE))
    if kata.state is State.TAMPERED:
        return title
    return f"{title}<br>{_harmless(shortened(reason_for(kata, spec), IN_DETAILS))}"


def _harmless(text: str) -> str:
    """Foreign text, escaped for Markdown and HTML.

    All punctuation is written as entities; inside `<code>` GitHub makes no mentions and links.
    """
    escaped = re.sub(r"[!-/:-@\[-`{-~]", lambda match: f"&#{ord(match[0])};", clean(text))
    return f"<code>{escaped.strip().replace(chr(10), '<br>')}</code>"

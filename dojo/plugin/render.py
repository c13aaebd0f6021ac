"""The text of a failure: the one place where its data becomes lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

from dojo.harness.frames import shortened

if TYPE_CHECKING:
    from dojo.harness.frames import Traceback
    from dojo.plugin.failures import Comparison, Failure, Response, Row

LABEL = 10
KIND = 9
WIDTH = 77
MADE = "(this spec made it fail)"
Style = Literal["plain", "light", "strong", "code", "marked"]
LEGEND = "(> marks what the spec objects to)"


@dataclass(frozen=True)
class Detail:
    """A piece of text, behind a label or without one; `indent` blanks stand before it."""

    text: str
    label: str = ""
    indent: int = 0

    def lines(self) -> Iterator[str]:
        """The text, its further lines below the first one."""
        first, *further = self.text.splitlines() or [""]
        behind = " " * (self.indent + (LABEL if self.label else 0))
        yield f"{' ' * self.indent}{self.label:<{LABEL if self.label else 0}}{first}"
        yield from (f"{behind}{line}" for line in further)

    def wrapped(self, width: int, indent: str) -> Iterator[str]:
        """The text in lines of at most `width` characters, all behind the label."""
        before = indent + " " * self.indent
        for text in self.text.splitlines() or [""]:
            label = f"{self.label:<{LABEL}}" if self.label else ""
            yield from wrap(
                text,
                max(20, width),
                initial_indent=before + label,
                subsequent_indent=before + " " * len(label),
                break_on_hyphens=False,
                break_long_words=False,
                replace_whitespace=False,
            ) or [""]
            before += " " * len(label)
            label = ""


def text(found: Failure) -> str:
    """All but the timeline and the prints."""
    parts = [found.message]
    parts += [f"  {line}" for detail in details(found) for line in detail.lines()]
    if found.tracebacks:
        parts += ["", "in your code:", *(f"  {line}" for line in code_lines(found.tracebacks))]
    return "\n".join([*parts, "", found.where] if found.where else parts)


def shown(found: Failure, width: int, *, several: bool = False) -> Iterator[tuple[str, Style]]:
    """The lines of a failure as people read it, each with its style.

    `several` says that it stands for others that have the same reason.
    """
    yield from _styled(Detail(found.message), width, "  ", "strong")
    for detail in details(found):
        yield from _styled(detail, width, "  ")
    if found.tracebacks:
        yield "  your code", "light"
        for line in code_lines(found.tracebacks):
            yield from _styled(Detail(line), width, "    ", "code")
    if found.timeline and found.light == "red":
        of = f" of: {found.title}" if several else ""
        yield from _styled(Detail(f"timeline{of}"), width, "  ", "light")
        for line, marked in marked_lines(found.timeline, width - 2):
            yield f"  {line}", "marked" if marked else "plain"
    if found.printed:
        yield "  printed", "light"
        yield from ((f"    {line}", "plain") for line in found.printed.splitlines())
    if found.where:
        yield f"  the spec   {found.where}", "light"


def _styled(
    detail: Detail, width: int, indent: str, style: Style = "plain"
) -> Iterator[tuple[str, Style]]:
    yield from ((line, style) for line in detail.wrapped(width, indent))


def details(found: Failure) -> Iterator[Detail]:
    """Everything that explains the message, in the order in which it is read."""
    likely = [Detail(reason, "likely") for reason in found.likely]
    if found.so:
        yield from likely
        yield Detail(found.so, "so")
    yield from compared(found.compared)
    yield from map(Detail, found.said)
    for response in found.responses:
        yield from _response(response)
    yield from (Detail(note, "note") for note in found.notes)
    if not found.so:
        yield from likely


def compared(values: Comparison) -> Iterator[Detail]:
    """The values of a comparison, one below the other."""
    if values.part:
        yield Detail(f"{values.part}:")
    if values.happened:
        yield Detail(values.happened, "happened")
    if values.expected:
        yield Detail(values.expected, "expected")
    yield from (Detail(entry, "missing") for entry in values.missing)
    yield from (Detail(entry, "too much") for entry in values.extra)
    if values.rows_of:
        yield Detail(f"{values.rows_of}:")
    yield from (Detail(row, indent=4) for row in values.all_rows)


def _response(response: Response) -> Iterator[Detail]:
    body = f": {response.body}" if response.body else ""
    yield Detail(f"{response.status} to {response.request}{body}", "response")
    yield from (Detail(field, "refused") for field in response.refused)


def code_lines(tracebacks: list[Traceback]) -> list[str]:
    """The frames of a solution, and what was raised there."""
    lines = []
    for shown in tracebacks:
        if shown.became:
            lines.append(f"this exception {shown.became}:")
        lines += [f"{f.file}:{f.line} in {f.function}: {f.source}" for f in shown.frames]
        lines.append(shown.raised)
    return lines


def timeline_lines(rows: list[Row], width: int = WIDTH) -> list[str]:
    """The rows of a timeline in columns, cut where they do not fit into `width` characters.

    `>` marks what the spec objects to.
    """
    return [line for line, _ in marked_lines(rows, width)]


def marked_lines(rows: list[Row], width: int) -> Iterator[tuple[str, bool]]:
    """The lines of a timeline, and whether each is one that the spec objects to."""
    if not rows:
        yield "  nothing happened", False
        return
    several = len({row.exchange for row in rows if row.exchange}) > 1
    heads = [_head(row, several) for row in rows]
    on_threads = [len(row.detail) for row in rows if row.thread]
    column = min(max(on_threads, default=0), width - len(heads[0]) - len(" worker thread") - 1)
    column = max(column, 10)
    for row, head in zip(rows, heads, strict=True):
        indent = " " * len(head)
        if row.kind and row.thread:
            line = f"{head}{shortened(row.detail, column):<{column}}  {row.thread}"
            yield line, row.marked
        elif row.kind:
            yield f"{head}{shortened(row.detail, width - len(head))}".rstrip(), row.marked
        if row.made:
            yield f"{indent}{MADE}", False
        if row.line:
            yield from ((line, False) for line in _place(row, indent, width))
        if row.more:
            yield f"  … {row.more}", False
    if any(row.marked for row in rows):
        yield f"  {LEGEND}", False


def _head(row: Row, several: bool) -> str:
    number = f"{row.exchange or '':>2} " if several else ""
    return f"{'>' if row.marked else ' '} {number}{row.kind:<{KIND}} "


def _place(row: Row, indent: str, width: int) -> Iterator[str]:
    """The line that did it, its source below it where both do not fit into one line."""
    place, source = f"{indent}at {row.file}:{row.line}", f"`{row.source}`"
    if len(f"{place} {source}") <= width:
        yield f"{place} {source}"
    else:
        yield place
        yield f"{indent}   {shortened(source, width - len(indent) - 3)}"

"""The output of grading for people: a progress bar or plain lines, and a table at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from dojo.grading.results import KataResult, State, SubmissionResult
from dojo.grading.same_files import SAME

COLOURS = {"green": "green", "red": "red", "amber": "yellow", "grey": "bright_black"}
WORDS = {
    State.GRADED: "",
    State.REVIEW: "for review",
    State.TAMPERED: "tampered",
    State.UNGRADABLE: "could not be graded",
}
FAILED = 8
PLACES = {"amber": "amber", "grey": "-"}  # in place of a count that would be 0
LEGEND = {"amber": "it does not run", "grey": "not begun"}
IDLE = "not begun, and not counted; --kata names the katas that count in any case"


def notify(text: str) -> None:
    """Print a line to the standard error, which results are never written to."""
    print(text, file=sys.stderr, flush=True)


class Progress:
    """The progress of grading: a bar on a terminal, else a line for each submission."""

    def __init__(self, total: int, so_far: Callable[[], int]) -> None:
        self._total = total
        self._so_far = so_far
        self._bar: Bar | None = None

    def __enter__(self) -> Progress:
        console = Console(stderr=True)
        if console.is_terminal and self._total > 1:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("grading", total=self._total)
            self._bar.update(self._task, completed=self._so_far())
        elif self._so_far():
            notify(f"{self._so_far()} of {self._total} were graded before")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def done(self, result: SubmissionResult) -> None:
        """Show that a submission is graded."""
        if self._bar is not None:
            self._bar.update(self._task, completed=self._so_far(), description=result.name[:30])
        elif self._total > 1:
            word = f", {WORDS[result.state]}" if WORDS[result.state] else ""
            notify(f"[{self._so_far()}/{self._total}] {result.name}: {_score(result)}{word}")


def show(submissions: Callable[[], Iterator[SubmissionResult]]) -> None:
    """Print the results as a table; of a single submission also the failures."""
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    first = next(submissions(), None)
    if first is None:
        console.print("There was nothing to grade.")
        return
    several = sum(1 for _ in submissions()) > 1
    if several:
        _show_all(console, submissions)
    else:
        _show_one(console, first)


def _show_all(console: Console, submissions: Callable[[], Iterator[SubmissionResult]]) -> None:
    numbers = dict.fromkeys(kata.kata.partition("_")[0] for s in submissions() for kata in s.katas)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("submission", overflow="fold")
    table.add_column("points", justify="right")
    for number in numbers:
        table.add_column(number, justify="right")
    table.add_column("")
    for result in submissions():
        cells = {kata.kata.partition("_")[0]: _cell(kata) for kata in result.katas}
        table.add_row(
            Text(result.name),
            _score(result),
            *(cells.get(number, Text("")) for number in numbers),
            Text(WORDS[result.state], style="bold red"),
        )
    console.print(table)
    lights = {k.light for s in submissions() for k in s.katas if k.state is State.GRADED}
    legend = [f"{PLACES[light]}: {word}" for light, word in LEGEND.items() if light in lights]
    if legend:
        console.print()
        console.print(Text("; ".join(legend), style="dim"), soft_wrap=True)
    same = {
        (kata.kata, kata.digest): f"look: {kata.kata.partition('_')[0]} of {s.name} is {entry}"
        for s in submissions()
        for kata in s.katas
        for entry in kata.evidence
        if entry.startswith(SAME)
    }
    for line in same.values():
        console.print(Text(line, style="yellow"), soft_wrap=True)
    if any(result.not_begun for result in submissions()):
        console.print()
        console.print(Text(f"An empty place: {IDLE}", style="dim"), soft_wrap=True)


def _show_one(console: Console, result: SubmissionResult) -> None:
    for kata in result.katas:
        number = kata.kata.partition("_")[0]
        line = Text(f"{kata.light:<6}", style=f"bold {COLOURS[kata.light]}")
        line.append(f"{number}  {kata.title}  ", style="not bold default")
        line.append(f"{_passed(kata)}  {_points(kata.score)}/{_points(kata.max_score)} points")
        console.print(line)
        if kata.cause:
            console.print(Text(f"       {kata.state}: {kata.cause}", style="bold red"))
        if kata.note:
            console.print(Text(f"       {kata.note}", style="yellow"))
        failed = [spec for spec in kata.specs if not spec.passed]
        if kata.light == "grey" or not kata.counts:
            failed = []
        causes = dict.fromkeys(spec.message.partition("\n")[0] for spec in failed)
        if kata.light == "amber" and len(causes) == 1:
            console.print(Text(f"       does not run: {next(iter(causes))}"))
            failed = []
        for spec in failed[:FAILED]:
            console.print(Text(f"       ✗ {spec.title}"))
            console.print(Text(f"         {spec.message.partition(chr(10))[0]}", style="dim"))
        if len(failed) > FAILED:
            console.print(Text(f"       … and {len(failed) - FAILED} more", style="dim"))
        for entry in kata.evidence:
            console.print(Text(f"       look: {entry}", style="yellow"))
    if result.not_begun:
        numbers = ", ".join(kata.partition("_")[0] for kata in result.not_begun)
        console.print(Text(f"{numbers}: {IDLE}", style="dim"), soft_wrap=True)
    console.print()
    word = f", {WORDS[result.state]}" if WORDS[result.state] else ""
    console.print(Text(f"{result.name}: {_score(result)} points{word}", style="bold"))


def _cell(kata: KataResult) -> Text:
    if not kata.counts:
        return Text("!" if kata.state is State.TAMPERED else "?", style="bold red")
    mark = "" if kata.state is State.GRADED else " ⚑"
    return Text(f"{PLACES.get(kata.light) or _passed(kata)}{mark}", style=COLOURS[kata.light])


def _passed(kata: KataResult) -> str:
    return f"{sum(spec.passed for spec in kata.specs)}/{len(kata.specs)}"


def _score(result: SubmissionResult) -> str:
    return f"{_points(result.score)}/{_points(result.max_score)}"


def _points(points: float | None) -> str:
    return "?" if points is None else f"{points:g}"

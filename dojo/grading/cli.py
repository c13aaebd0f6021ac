"""`dojo grade`: grades or merges as the command line asks, and writes the results."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from dojo.catalogue import CatalogueError, Kata, read_catalogue
from dojo.grading import arguments, cluster
from dojo.grading.assignment import assigned, without_idle
from dojo.grading.checkpoint import Checkpoint
from dojo.grading.formats import SINGLE, SUFFIXES, Context, FormatError, emit
from dojo.grading.formats.actions import split
from dojo.grading.progress import Progress, notify, show
from dojo.grading.results import (
    Isolation,
    Results,
    ResultsFileError,
    State,
    SubmissionResult,
    as_json,
    write_whole,
)
from dojo.grading.same_files import forgotten, pointed_out
from dojo.grading.sandbox.limits import MIB, Limits
from dojo.grading.scheduling import Grader
from dojo.grading.start_check import check_isolation
from dojo.grading.submissions import SubmissionsNotFoundError, SubmittedFiles, gather, shard
from dojo.grading.worker_pool import GradingError, worker_pool_for

GRADED, BELOW, USAGE, UNGRADABLE, INTERRUPTED = 0, 1, 2, 3, 130
ROOT = Path(__file__).resolve().parent.parent.parent


class UsageError(Exception):
    """A command line that cannot be followed; the message says what to do."""


def add_to(commands: Any) -> None:
    """Add the command `grade` to the command line."""
    arguments.add_command(commands).set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Do what the command line asks for; print an error as one line. The exit code."""
    try:
        return _merge(asked) if asked.merge else _grade(asked)
    except (UsageError, SubmissionsNotFoundError, CatalogueError, ResultsFileError) as error:
        notify(f"dojo grade: {error}")
        return USAGE
    except (GradingError, FormatError) as error:
        notify(f"dojo grade: {error}")
        return UNGRADABLE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return GRADED
    except OSError as error:
        notify(f"dojo grade: {error}")
        return UNGRADABLE


def chosen(words: Sequence[str]) -> list[Kata]:
    """The katas with these numbers or names; all where `words` is empty.

    Raises `UsageError`.
    """
    katas = read_catalogue(ROOT)
    if not katas or not (ROOT / "tests").is_dir():
        raise UsageError(
            f"there are no katas beside {ROOT / 'dojo'}: "
            "install the dojo from its checkout, with `pip install -e .`"
        )
    for word in words:
        if not any(word in (kata.number, kata.name) for kata in katas.values()):
            known = ", ".join(kata.number for kata in katas.values())
            raise UsageError(f"there is no kata {word!r}: there are {known}")
    found = [k for k in katas.values() if not words or k.number in words or k.name in words]
    for kata in found:
        kata.essential_specs  # noqa: B018 - a wrong name is an error before anything is graded
    return found


def _format(asked: argparse.Namespace) -> str | None:
    """The name of the format; None for a table on the terminal."""
    if asked.format or not asked.out:
        return str(asked.format) if asked.format else None
    return SUFFIXES[asked.out.suffix.lower()]


def _check_out(asked: argparse.Namespace) -> None:
    if asked.out and asked.out.is_dir():
        raise UsageError(f"--out {asked.out} is a folder: give the name of a file")
    if asked.out and not asked.out.parent.is_dir():
        raise UsageError(f"--out {asked.out}: there is no folder {asked.out.parent}: make it first")
    if asked.out and not asked.format and asked.out.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"--out {asked.out}: no format has this ending: "
            f"give one of {', '.join(SUFFIXES)}, or --format"
        )
    if asked.resume and not asked.out:
        raise UsageError(
            "--resume continues from the checkpoint beside --out: give the same --out as before"
        )


def _check_count(asked: argparse.Namespace, count: int) -> None:
    if asked.format in SINGLE and count != 1:
        raise UsageError(
            f"{asked.format} holds one submission, and there are {count}: "
            "grade one at a time, or use --format json, csv, junit or html"
        )


def _grade(asked: argparse.Namespace) -> int:
    _check_out(asked)
    named = asked.kata or assigned(ROOT)
    katas = chosen(named)
    if not asked.submissions and not asked.each:
        raise UsageError("nothing to grade: name a SUBMISSION, or give --each FOLDER (see --help)")
    submissions = gather(asked.submissions, asked.each)
    if asked.shard:
        submissions = shard(submissions, *asked.shard)
    _check_count(asked, len(submissions))
    limits = replace(Limits(), seconds=asked.time_limit, memory=asked.memory_limit * MIB)
    isolation = Isolation()
    with ExitStack() as stack:
        if asked.out:
            file = asked.out.with_name(f"{asked.out.name}.part")
        else:
            file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "checkpoint"
        checkpoint = stack.enter_context(Checkpoint(file, katas, resume=asked.resume))
        checkpoint.drop_ungradable()
        keys: list[tuple[str, str]] = []

        def read() -> Iterator[SubmittedFiles]:
            for submission in submissions:
                submitted = submission.read(katas)
                keys.append((submitted.name, submitted.digest))
                if keys[-1] not in checkpoint:
                    yield submitted

        graded = _graded(asked, katas, limits, isolation)
        interrupted = False
        with Progress(len(submissions), lambda: len(checkpoint)) as progress:
            try:
                for submitted, result in graded(read()):
                    checkpoint.add(submitted.digest, result)
                    progress.done(result if named else without_idle(result))
            except KeyboardInterrupt:
                interrupted = True
        if interrupted:
            hint = "; the same command with --resume continues" if asked.out else ""
            notify(f"interrupted: {len(checkpoint)} of {len(submissions)} graded{hint}")
            return INTERRUPTED
        for entry in isolation.missing:
            notify(f"note: {entry}")

        def results() -> Iterator[SubmissionResult]:
            return (r if named else without_idle(r) for r in checkpoint.read(keys))

        code = _publish(asked, isolation, results)
        checkpoint.discard()
        return code


GradedSubmissions = Iterator[tuple[SubmittedFiles, SubmissionResult]]
Graded = Callable[[Iterator[SubmittedFiles]], GradedSubmissions]


def _graded(
    asked: argparse.Namespace,
    katas: Sequence[Kata],
    limits: Limits,
    isolation: Isolation,
) -> Graded:
    """Grade on this machine or on a cluster; either fills in `isolation`."""

    def on_cluster(submissions: Iterator[SubmittedFiles]) -> GradedSubmissions:
        return cluster.grade(asked.dask, katas, limits, submissions, isolation)

    def here(submissions: Iterator[SubmittedFiles]) -> GradedSubmissions:
        hidden = tuple(path.resolve() for path in (*asked.each, *asked.submissions))
        with worker_pool_for(ROOT, katas, limits, hidden) as worker_pool:
            check_isolation(worker_pool, katas, limits)
            isolation.in_force = worker_pool.isolation.in_force
            isolation.missing = worker_pool.isolation.missing
            yield from Grader(worker_pool, katas, limits, asked.jobs).grade(submissions)

    return on_cluster if asked.dask else here


def _merge(asked: argparse.Namespace) -> int:
    _check_out(asked)
    if asked.submissions or asked.each or asked.dask or asked.resume or asked.shard:
        raise UsageError("--merge merges results and grades nothing: name only results")
    parts = [Results.read(file) for file in asked.merge]
    found: dict[str, tuple[Path, SubmissionResult]] = {}
    for file, part in zip(asked.merge, parts, strict=True):
        for submission in part.submissions:
            alone = forgotten(submission)
            before = found.setdefault(submission.name, (file, alone))
            if before[1] != alone:
                raise UsageError(
                    f"{submission.name} is in {before[0]} and, with another result, in {file}"
                )
    _check_count(asked, len(found))
    isolation = cluster.merge_isolation([part.isolation for part in parts])
    merged = [found[name][1] for name in sorted(found, key=lambda name: name.encode())]
    if asked.kata:
        wanted = {kata.name for kata in chosen(asked.kata)}
        for submission in merged:
            submission.katas = [kata for kata in submission.katas if kata.kata in wanted]
            submission.not_begun = [kata for kata in submission.not_begun if kata in wanted]
    return _publish(asked, isolation, lambda: iter(merged))


def _publish(
    asked: argparse.Namespace,
    isolation: Isolation,
    submissions: Callable[[], Iterator[SubmissionResult]],
) -> int:
    """Write the results as asked; the exit code."""
    submissions = pointed_out(submissions, ROOT)
    name = _format(asked)
    if name is None:
        show(submissions)
    elif name == "json" and asked.out:
        write_whole(asked.out, as_json(isolation, submissions()))
    else:
        results = Results(isolation=isolation, submissions=list(submissions()))
        _write(asked, name, emit(name, results, Context(ROOT, os.environ)))
    code = GRADED
    for result in submissions():
        if result.state is State.UNGRADABLE:
            notify(f"{result.name} could not be graded: {result.cause}")
            code = UNGRADABLE
            continue
        if asked.fail_on_review and any(kata.state is State.REVIEW for kata in result.katas):
            notify(f"{result.name} is for review: {result.cause}")
            code = code or BELOW
        if asked.fail_under is not None and (result.percent or 0.0) < asked.fail_under:
            code = code or BELOW
    return code


def _write(asked: argparse.Namespace, name: str, text: str) -> None:
    environment = os.environ
    if name == "actions" and not asked.out:
        commands, summary = split(text)
        sys.stdout.write(commands)
        _append(environment.get("GITHUB_STEP_SUMMARY"), summary)
    elif name == "github-classroom" and not asked.out and environment.get("GITHUB_OUTPUT"):
        _append(environment["GITHUB_OUTPUT"], f"result={text.strip()}\n")
    elif asked.out:
        write_whole(asked.out, [text])
    else:
        sys.stdout.write(text)
    sys.stdout.flush()


def _append(file: str | None, text: str) -> None:
    if not file:
        sys.stdout.write(text)
        return
    with open(file, "a", encoding="utf-8", errors="replace", newline="\n") as opened:
        opened.write(text)

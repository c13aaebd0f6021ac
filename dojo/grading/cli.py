"""`dojo grade`: from a command line to results, and an exit code that says how it went."""

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
from dojo.grading import cluster
from dojo.grading.checkpoint import Checkpoint
from dojo.grading.formats import MODULES, SUFFIXES, Context, FormatError, emit
from dojo.grading.formats.actions import split
from dojo.grading.progress import Progress, show, tell
from dojo.grading.results import (
    Isolation,
    Results,
    ResultsFileError,
    State,
    SubmissionResult,
    as_json,
    write_whole,
)
from dojo.grading.sandbox.policy import MIB, Limits
from dojo.grading.submissions import HandedIn, SubmissionsNotFoundError, gather, shard
from dojo.grading.verdict import Grader
from dojo.grading.worker_pool import GradingError, worker_pool_for

GRADED, BELOW, USAGE, UNGRADABLE, INTERRUPTED = 0, 1, 2, 3, 130
ROOT = Path(__file__).resolve().parent.parent.parent

EPILOG = """\
Only the files kNN_name/app.py are taken from a submission; specs and configuration are the
grader's own. Each kata runs in a process of its own, with limits, and where the system allows
(Linux, as root or with user namespaces) without network and files.

exit codes: 0 graded, whatever the score; 1 below --fail-under; 2 wrong usage; 3 something could
not be graded; 130 interrupted (--resume goes on from there).
"""


class UsageError(Exception):
    """A command line that makes no sense; the message says what to do."""


def add_to(commands: Any) -> None:
    """Add the command `grade` to the command line."""
    grade = commands.add_parser(
        "grade",
        help="grade submissions",
        description="Grade submissions: checkouts with a katas/, or folders laid out like it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    grade.add_argument(
        "submissions",
        nargs="*",
        metavar="SUBMISSION",
        type=Path,
        help="a checkout that has a katas/, or a folder laid out like it",
    )
    grade.add_argument(
        "--each",
        action="append",
        default=[],
        metavar="FOLDER",
        type=Path,
        help="take every folder in FOLDER as a submission",
    )
    grade.add_argument(
        "--kata",
        action="append",
        default=[],
        metavar="KATA",
        help="grade this kata only (k03 will do); may be given again",
    )
    grade.add_argument(
        "--format",
        choices=list(MODULES),
        help="write the results in this format (default: by the ending of --out; none: a table)",
    )
    grade.add_argument(
        "--out", metavar="FILE", type=Path, help="write the results to FILE, not to the terminal"
    )
    grade.add_argument(
        "--fail-under",
        metavar="PERCENT",
        type=_percent,
        help="exit with 1 where a submission has less of its points",
    )
    grade.add_argument(
        "--jobs",
        metavar="N",
        type=_positive,
        default=_processors(),
        help="katas graded at the same time (default: the processors, here %(default)s)",
    )
    limits = Limits()
    grade.add_argument(
        "--time-limit",
        metavar="SECONDS",
        type=_seconds,
        default=limits.seconds,
        help="for one kata of one submission (default: %(default)g)",
    )
    grade.add_argument(
        "--memory-limit",
        metavar="MIB",
        type=_positive,
        default=limits.memory // MIB,
        help="for one kata of one submission (default: %(default)s)",
    )
    grade.add_argument(
        "--resume",
        action="store_true",
        help="go on from an interrupted run with the same --out",
    )
    grade.add_argument(
        "--shard",
        metavar="N/COUNT",
        type=_part,
        help="grade only this part of the submissions, always the same by their names",
    )
    grade.add_argument(
        "--merge",
        nargs="+",
        default=[],
        metavar="RESULTS",
        type=Path,
        help="grade nothing, but put JSON results of earlier runs together",
    )
    grade.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="grade on the Dask cluster with this scheduler (tcp://HOST:8786)",
    )
    grade.set_defaults(run=run)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _number(text: str, most: float, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return number


def _percent(text: str) -> float:
    return _number(text.removesuffix("%"), 100, "a number from 0 to 100")


def _seconds(text: str) -> float:
    seconds = _number(text, 86_400, "a number of seconds, a day at most")
    if seconds < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is too short: give a second at least")
    return seconds


def _part(text: str) -> tuple[int, int]:
    number, slash, count = text.partition("/")
    if not slash or not (number.isascii() and number.isdigit() and count.isascii()):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 3/40")
    if not count.isdigit() or not 1 <= int(number) <= int(count):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 3/40: count from 1")
    return int(number), int(count)


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run(asked: argparse.Namespace) -> int:
    """Do what the command line asks for; what went wrong is told in a line."""
    try:
        return _merge(asked) if asked.merge else _grade(asked)
    except (UsageError, SubmissionsNotFoundError, CatalogueError, ResultsFileError) as error:
        tell(f"dojo grade: {error}")
        return USAGE
    except (GradingError, FormatError) as error:
        tell(f"dojo grade: {error}")
        return UNGRADABLE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return GRADED
    except OSError as error:
        tell(f"dojo grade: {error}")
        return UNGRADABLE


def chosen(words: Sequence[str]) -> list[Kata]:
    """The katas that were asked for, by number or by name; all where none was.

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
    return [k for k in katas.values() if not words or k.number in words or k.name in words]


def _format(asked: argparse.Namespace) -> str | None:
    """The name of the format; None for a person at a terminal."""
    if asked.format or not asked.out:
        return str(asked.format) if asked.format else None
    return SUFFIXES.get(asked.out.suffix.lower(), "json")


def _check_out(asked: argparse.Namespace) -> None:
    if asked.out and asked.out.is_dir():
        raise UsageError(f"--out {asked.out} is a folder: give the name of a file")
    if asked.resume and not asked.out:
        raise UsageError(
            "--resume goes on from what is kept beside --out: give the same --out as before"
        )


def _grade(asked: argparse.Namespace) -> int:
    _check_out(asked)
    katas = chosen(asked.kata)
    if not asked.submissions and not asked.each:
        raise UsageError("nothing to grade: name a SUBMISSION, or give --each FOLDER (see --help)")
    submissions = gather(asked.submissions, asked.each)
    if asked.shard:
        submissions = shard(submissions, *asked.shard)
    limits = replace(Limits(), seconds=asked.time_limit, memory=asked.memory_limit * MIB)
    isolation = Isolation()
    with ExitStack() as stack:
        if asked.out:
            file = asked.out.with_name(f"{asked.out.name}.part")
        else:
            file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "checkpoint"
        checkpoint = stack.enter_context(Checkpoint(file, katas, go_on=asked.resume))
        checkpoint.forget_the_ungradable()
        keys: list[tuple[str, str]] = []

        def handed_in() -> Iterator[HandedIn]:
            for submission in submissions:
                handed = submission.hand_in(katas)
                keys.append((handed.name, handed.digest))
                if all(answer.missing for answer in handed.answers.values()):
                    looked = next(iter(handed.answers.values())).file
                    tell(f"note: {handed.name} has no answers: looked for files like {looked}")
                if keys[-1] not in checkpoint:
                    yield handed

        graded = _graded(asked, katas, limits, isolation)
        interrupted = False
        with Progress(len(submissions), lambda: len(checkpoint)) as progress:
            try:
                for handed, result in graded(handed_in()):
                    checkpoint.add(handed.digest, result)
                    progress.done(result)
            except KeyboardInterrupt:
                interrupted = True
        if interrupted:
            kept = ", the same command with --resume goes on from there" if asked.out else ""
            tell(f"interrupted: {len(checkpoint)} of {len(submissions)} graded{kept}")
            return INTERRUPTED
        for what in isolation.missing:
            tell(f"note: {what}")
        code = _publish(asked, isolation, lambda: checkpoint.read(keys))
        checkpoint.discard()
        return code


Graded = Callable[[Iterator[HandedIn]], Iterator[tuple[HandedIn, SubmissionResult]]]


def _graded(
    asked: argparse.Namespace,
    katas: Sequence[Kata],
    limits: Limits,
    isolation: Isolation,
) -> Graded:
    """Grade on this machine or on a cluster, noting in `isolation` how."""

    def there(handed_in: Iterator[HandedIn]) -> Iterator[tuple[HandedIn, SubmissionResult]]:
        return cluster.grade(asked.dask, ROOT, katas, limits, handed_in, isolation)

    def here(handed_in: Iterator[HandedIn]) -> Iterator[tuple[HandedIn, SubmissionResult]]:
        hidden = tuple(path.resolve() for path in (*asked.each, *asked.submissions))
        with worker_pool_for(ROOT, katas, limits, hidden) as worker_pool:
            isolation.in_force = worker_pool.isolation.in_force
            isolation.missing = worker_pool.isolation.missing
            yield from Grader(worker_pool, katas, limits, asked.jobs).grade(handed_in)

    return there if asked.dask else here


def _merge(asked: argparse.Namespace) -> int:
    _check_out(asked)
    if asked.submissions or asked.each or asked.dask or asked.resume or asked.shard:
        raise UsageError("--merge puts results together and grades nothing: name only results")
    parts = [Results.read(file) for file in asked.merge]
    found: dict[str, tuple[Path, SubmissionResult]] = {}
    for file, part in zip(asked.merge, parts, strict=True):
        for submission in part.submissions:
            before = found.setdefault(submission.name, (file, submission))
            if before[1] != submission:
                raise UsageError(
                    f"{submission.name} is in {before[0]} and, with another result, in {file}"
                )
    isolation = cluster.merge_isolation([part.isolation for part in parts])
    merged = [found[name][1] for name in sorted(found, key=lambda name: name.encode())]
    if asked.kata:
        wanted = {kata.name for kata in chosen(asked.kata)}
        for submission in merged:
            submission.katas = [kata for kata in submission.katas if kata.kata in wanted]
    return _publish(asked, isolation, lambda: iter(merged))


def _publish(
    asked: argparse.Namespace,
    isolation: Isolation,
    submissions: Callable[[], Iterator[SubmissionResult]],
) -> int:
    """Write the results down as asked, and give the exit code."""
    name = _format(asked)
    if name is None:
        show(submissions, isolation)
    elif name == "json" and asked.out:
        write_whole(asked.out, as_json(isolation, submissions()))
    else:
        results = Results(isolation=isolation, submissions=list(submissions()))
        _write(asked, name, emit(name, results, Context(ROOT, os.environ)))
    code = GRADED
    for result in submissions():
        if result.state is State.UNGRADABLE:
            tell(f"{result.name} could not be graded: {result.cause}")
            code = UNGRADABLE
        elif asked.fail_under is not None and (result.percent or 0.0) < asked.fail_under:
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

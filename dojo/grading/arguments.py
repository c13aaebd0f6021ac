"""The arguments of `dojo grade`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from dojo.grading.formats import MODULES
from dojo.grading.sandbox.limits import MIB, Limits

EPILOG = """\
The grader reads only the file of each kata, and uses its own specs and configuration. It finds
the files as katas/kNN_name/app.py, kNN_name/app.py, kNN/app.py or kNN.py, in the folder given or in
the only folder in it that has any. Each kata runs in a process of its own, with limits, and where
the system permits it (Linux, as root or with user namespaces) without access to the network and to
other files.

Each kata is `graded`; or for `review`: its points count, and the evidence asks a person to decide;
or `tampered`, with 0 points; or `ungradable`, a fault of the grader or the machine.

exit codes: 0 graded, with any score; 1 below --fail-under, or for review with --fail-on-review;
2 wrong usage; 3 something could not be graded, or nothing was found in a submission; 130
interrupted (--resume continues from there).
"""


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add the command `grade` to the command line; its parser."""
    grade: argparse.ArgumentParser = commands.add_parser(
        "grade",
        help="grade submissions",
        description="Grade submissions: checkouts, folders laid out like katas/, or single files.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    grade.add_argument(
        "submissions",
        nargs="*",
        metavar="SUBMISSION",
        type=Path,
        help="a checkout that has a katas/, a folder laid out like it, or the file of one kata",
    )
    grade.add_argument(
        "--each",
        action="append",
        default=[],
        metavar="FOLDER",
        type=Path,
        help="grade every folder in FOLDER as a submission",
    )
    grade.add_argument(
        "--kata",
        action="append",
        default=[],
        metavar="KATA",
        help="grade this kata only (k03 will do), and count it even if it is not begun; may be "
        "given again (default: the [tool.dojo.assignment] of the grader's pyproject.toml; where "
        "there is none, all katas that are begun)",
    )
    grade.add_argument(
        "--format",
        choices=list(MODULES),
        help="the format of the results (default: by the suffix of --out; without --out, a table)",
    )
    grade.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="write the results to FILE, in a folder that exists, instead of the terminal",
    )
    grade.add_argument(
        "--fail-under",
        metavar="PERCENT",
        type=_percent,
        help="exit with 1 where a submission has a lower score",
    )
    grade.add_argument(
        "--fail-on-review",
        action="store_true",
        help="exit with 1 where a submission is for review (default: exit with 0)",
    )
    grade.add_argument(
        "--jobs",
        metavar="N",
        type=_positive,
        default=_jobs(),
        help="katas graded at the same time (default: two a processor, here %(default)s)",
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
        help="continue an interrupted run with the same --out",
    )
    grade.add_argument(
        "--shard",
        metavar="N/COUNT",
        type=_part,
        help="grade only part N of COUNT of the submissions, chosen by their names",
    )
    grade.add_argument(
        "--merge",
        nargs="+",
        default=[],
        metavar="RESULTS",
        type=Path,
        help="grade nothing, but merge the JSON results of earlier runs",
    )
    grade.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="grade on the Dask cluster with this scheduler (tcp://HOST:8786)",
    )
    return grade


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


def _jobs() -> int:
    """Two a processor where the process of the specs and that of the solution wait in turn."""
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    return processors * 2 if hasattr(os, "fork") else processors

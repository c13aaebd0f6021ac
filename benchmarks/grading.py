"""Measures the cost of grading, as ratios within one run.

It compares `dojo grade` for a class with a loop that starts pytest for each submission, and
measures the memory of the grader.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from dojo.catalogue import Kata, read_catalogue
from selfcheck.trial import source_of

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Class:
    """The submissions of a class: each student has begun at least and at most so many katas.

    Where not all is `right`, some of the solutions are mistakes. `target` is the least ratio.
    """

    name: str
    least: int
    most: int
    target: float | None = None
    right: bool = False


CLASSES = [
    Class("begun", 1, 3, target=5.0),
    Class("half-way", 3, 6),
    Class("nine right", 9, 9, target=2.5, right=True),
    Class("all right", 18, 18, right=True),
]


def say(text: str) -> None:
    """Show the progress on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def generate(folder: Path, katas: list[Kata], group: Class, count: int) -> list[Path]:
    """`count` submissions that all differ: right solutions, mistakes, and stubs not yet begun.

    Each solution has a line of its own in it, so that no two are the same bytes.
    """
    dice = random.Random(group.name)
    made = []
    for number in range(count):
        submission = folder / f"student{number:03}"
        begun = katas[: dice.randint(group.least, group.most)]
        for kata in katas:
            source = kata.stub.read_text(encoding="utf-8")
            if kata in begun:
                solutions = ROOT / "solutions" / kata.name
                known = [solutions / "app.py", *sorted(solutions.glob("right/*.py"))]
                if not group.right:
                    known += sorted(solutions.glob("mistakes/*.diff"))[: len(known)]
                source = f"{source_of(dice.choice(known))}\n# {number}\n"
            file = submission / "katas" / kata.name / "app.py"
            file.parent.mkdir(parents=True)
            file.write_text(source, encoding="utf-8")
        made.append(submission)
    return made


def grade(folder: Path, out: Path) -> float:
    """Seconds that `dojo grade` takes for a class."""
    words = [sys.executable, "-m", "dojo.cli", "grade", "--each", folder, "--out", out]
    began = time.perf_counter()
    subprocess.run(list(map(str, words)), check=True, stderr=subprocess.DEVNULL, cwd=folder)
    return time.perf_counter() - began


def loop(submissions: list[Path]) -> list[float]:
    """Seconds that pytest takes for each of these submissions, one after the other."""
    seconds = []
    for number, submission in enumerate(submissions, 1):
        say(f"pytest for each: {number} of {len(submissions)}")
        words = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
        ]
        began = time.perf_counter()
        subprocess.run(
            [*words, f"--solutions={submission}"], stdout=subprocess.DEVNULL, cwd=ROOT, check=False
        )
        seconds.append(time.perf_counter() - began)
    return seconds


def peak(folder: Path, out: Path) -> float:
    """The largest memory in MiB of the grader itself, its workers not counted."""
    code = (
        "import resource, sys\n"
        "from dojo.cli import main\n"
        "main(sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    words = ["grade", "--each", str(folder), "--kata", "k01", "--kata", "k02", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return int(done.stdout) / (1024 if sys.platform.startswith("linux") else 1024 * 1024)


def options() -> argparse.Namespace:
    """The parsed command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.grading",
        description="Measures the cost of grading, as ratios in one run. It is never a test.",
    )
    parser.add_argument("--count", type=int, default=200, help="submissions (default: 200)")
    parser.add_argument(
        "--sample",
        type=int,
        default=20,
        help="submissions that the loop starts pytest for (default: 20)",
    )
    parser.add_argument(
        "--class",
        dest="classes",
        action="append",
        choices=[group.name for group in CLASSES],
        help="measure this class only; may be given again (default: all)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE too")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the figures."""
    asked = options()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    katas = list(read_catalogue(ROOT).values())
    figures = []
    with tempfile.TemporaryDirectory(prefix="dojo-benchmark-") as scratch:
        for group in CLASSES:
            if asked.classes and group.name not in asked.classes:
                continue
            folder = Path(scratch) / group.name.replace(" ", "-")
            submissions = generate(folder, katas, group, asked.count)
            step = max(1, asked.count // max(1, asked.sample))
            say(f"{group.name}: dojo grade")
            ours = grade(folder, Path(scratch) / "results.json") / asked.count
            theirs = statistics.mean(loop(submissions[::step]))
            figures.append(
                {"class": group.name, "katas begun": f"{group.least}-{group.most}", "ours": ours}
                | {"theirs": theirs, "ratio": theirs / ours, "target": group.target}
            )
        few = generate(Path(scratch) / "few", katas, CLASSES[0], 50)[0].parent
        many = generate(Path(scratch) / "many", katas, CLASSES[0], 200)[0].parent
        say("memory")
        memory = [peak(folder, Path(scratch) / "memory.json") for folder in (few, many)]
    say("")
    print(f"{'class':<12}{'begun':<8}{'dojo grade':>12}{'pytest':>10}{'ratio':>8}{'target':>8}")
    for row in figures:
        target = f">={row['target']:g}" if row["target"] else ""
        print(
            f"{row['class']:<12}{row['katas begun']:<8}{row['ours']:>10.2f} s"
            f"{row['theirs']:>8.2f} s{row['ratio']:>8.1f}{target:>8}"
        )
    print(
        f"\nseconds a submission: {asked.count} graded on {os.cpu_count()} processors, against a "
        f"loop that starts pytest for {len(submissions[::step])} of them; no two solutions are the "
        f"same bytes."
    )
    print(
        f"memory of the grader: {memory[0]:.0f} MiB for 50 submissions, {memory[1]:.0f} MiB for 200"
    )
    if asked.json:
        asked.json.write_text(json.dumps({"classes": figures, "memory": memory}, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Measures what the specs cost: whole processes in turns, as ratios of medians within one run."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import plain, probe

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("conftest.py", "pyproject.toml", "benchmarks", "dojo", "katas", "solutions", "tests")
UNSET = ("PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")
INI = """\
[pytest]
addopts = --no-header
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""
GREEN = ("--solutions", "solutions")
COLLECT = ("--collect-only", "-q")


@dataclass
class Command:
    """A pytest run that is timed: in which folder, with which arguments, and what it took."""

    title: str
    folder: Path
    arguments: tuple[str, ...]
    exit_code: int = 0
    trouble: str = ""
    seconds: list[float] = field(default_factory=list)

    def run(self, scratch: Path, **extra: str) -> tuple[float, str]:
        """Run it once, and give its seconds and the last line it printed."""
        environment = {k: v for k, v in os.environ.items() if k not in UNSET} | extra
        specs = tempfile.mkdtemp(dir=scratch)
        words = ["-m", "pytest", "-p", "no:randomly", f"--basetemp={specs}/specs", *self.arguments]
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - began
        shutil.rmtree(specs, ignore_errors=True)
        last = (done.stdout.strip().splitlines() or [""])[-1]
        if done.returncode != self.exit_code:
            self.trouble = (
                f"{self.title} ended with exit code {done.returncode}: {last.strip('= ')}"
            )
        return seconds, last

    def figures(self) -> dict[str, Any]:
        """Its numbers, for people and for JSON."""
        return {
            "what": self.title,
            "median": statistics.median(self.seconds),
            "min": min(self.seconds),
            "max": max(self.seconds),
            "seconds": self.seconds,
        }


@dataclass
class Comparison:
    """Two commands that are run in turns."""

    title: str
    target: float | None
    explained: str
    ours: Command
    other: Command

    def measure(self, repeat: int, scratch: Path) -> None:
        """Run both in turns, once to warm up and then `repeat` times."""
        for turn in range(repeat + 1):
            say(f"{self.title}: {turn or 'warm-up'}")
            pair = [(command, command.run(scratch)[0]) for command in (self.ours, self.other)]
            for command, seconds in pair if turn else ():
                command.seconds.append(seconds)

    def figures(self) -> dict[str, Any]:
        """Its ratio and the numbers behind it."""
        ours, other = self.ours.figures(), self.other.figures()
        return {
            "what": self.title,
            "compared": self.explained,
            "ratio": ours["median"] / other["median"],
            "target": self.target,
            "ours": ours,
            "other": other,
            "troubles": [side.trouble for side in (self.ours, self.other) if side.trouble],
        }


def say(text: str) -> None:
    """Show the progress on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def discovered(root: Path) -> list[str]:
    """The katas that have a spec, a stub and a reference."""
    names = sorted(file.stem.removeprefix("test_") for file in root.glob("tests/test_k*.py"))
    return [
        name
        for name in names
        if (root / "katas" / name / "app.py").is_file()
        and (root / "solutions" / name / "app.py").is_file()
    ]


def copied(into: Path) -> Path:
    """A copy of the files that the specs need, without caches and hidden files."""
    into.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, into / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
            )
        else:
            shutil.copy(ROOT / name, into / name)
    return into


def probed(command: Command, scratch: Path) -> dict[str, Any]:
    """The specs of a run with their numbers of requests, and the modules that it imports."""
    noted = scratch / "probe.json"
    words = (*command.arguments, "-p", "benchmarks.probe")
    watched = Command(command.title, command.folder, words, command.exit_code)
    watched.run(scratch, **{probe.INTO: str(noted)})
    found: dict[str, Any] = json.loads(noted.read_text(encoding="utf-8"))
    return found


def plain_folder(folder: Path, plan: dict[str, Any]) -> Path:
    """A folder with the plain tests that `plan` asks for."""
    folder.mkdir()
    (folder / "pytest.ini").write_text(INI, encoding="utf-8")
    (folder / "plain.json").write_text(json.dumps(plan), encoding="utf-8")
    shutil.copy(plain.__file__, folder / "test_plain.py")
    return folder


def empty_folder(folder: Path, modules: list[str]) -> Path:
    """A folder with one empty test that imports `modules`."""
    folder.mkdir()
    (folder / "pytest.ini").write_text(INI, encoding="utf-8")
    lines = [*(f"import {name}" for name in modules), "", "", "def test_nothing():", "    pass", ""]
    (folder / "test_empty.py").write_text("\n".join(lines), encoding="utf-8")
    return folder


def comparisons(scratch: Path) -> list[Comparison]:
    """The comparisons, with all their folders and files made."""
    say("making a copy")
    tree = copied(scratch / "tree")
    katas = discovered(tree)
    specs = tuple(f"tests/test_{name}.py" for name in katas)
    alike = [name for name in katas if name in plain.REQUESTS]
    alike_specs = tuple(f"tests/test_{name}.py" for name in alike)
    if left_out := [name for name in katas if name not in alike]:
        print(f"note: no plain request is known for {', '.join(left_out)}", file=sys.stderr)

    red = Command("red run", tree, specs, exit_code=1)
    green = Command("green run", tree, (*specs, *GREEN))
    say("probing a green run")
    ran = probed(Command("green run", tree, (*alike_specs, *GREEN)), scratch)
    collected = probed(Command("collect", tree, (*COLLECT, *specs)), scratch)
    if passed := re.search(r"\d+ passed", red.run(scratch)[1]):
        red.trouble = f"the stubs are not untouched, {passed[0]}"

    cases, modules = ran["cases"], ran["modules"]
    requests = sum(number for _, number in cases)
    plan = {"cases": cases, "modules": modules, "solutions": str(tree / "solutions")}
    return [
        Comparison(
            "red / green",
            1.2,
            f"the specs of {len(katas)} katas on the stubs / on the references",
            red,
            green,
        ),
        Comparison(
            "green / TestClient",
            1.0,
            f"{len(cases)} green specs / {len(cases)} tests with TestClient, a fake SMTP and respx "
            "that look at the status only.\n"
            f"  In both: the references of {len(alike)} katas, loaded {len(cases)} times, "
            f"{requests} requests, the same {len(modules)} modules.\n"
            "  Not the same: httpx makes a TLS context for each client, the specs share one",
            Command("green run", tree, (*alike_specs, *GREEN)),
            Command("TestClient", plain_folder(scratch / "plain", plan), ()),
        ),
        Comparison(
            "start-up",
            None,
            f"pytest --collect-only -q of {len(katas)} katas / of one empty test.\n  In both: "
            f"the same {len(collected['modules'])} third-party modules",
            Command("collection", tree, (*COLLECT, *specs)),
            Command("empty test", empty_folder(scratch / "empty", collected["modules"]), COLLECT),
        ),
    ]


def table(figures: list[dict[str, Any]]) -> str:
    """The figures as aligned columns, with an explanation of each."""
    rows = [("what", "ratio", "target", "medians in s", "min-max in s")]
    for one in figures:
        pair = (one["ours"], one["other"])
        rows.append(
            (
                one["what"],
                f"{one['ratio']:.2f}",
                "-" if one["target"] is None else f"<= {one['target']:.1f}",
                " / ".join(f"{side['median']:.2f}" for side in pair),
                " / ".join(f"{side['min']:.2f}-{side['max']:.2f}" for side in pair),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines.append("")
    for one in figures:
        lines.append(f"{one['what']}: {one['compared']}")
        lines += [f"  unreliable: {trouble}" for trouble in one["troubles"]]
    lines.append("")
    lines.append("Only the ratios can be compared with those of another machine.")
    return "\n".join(lines)


def options() -> argparse.Namespace:
    """The parsed command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures what the specs cost: whole pytest processes with bytecode caching, "
        "in turns (A B A B ...), after one discarded warm-up each. "
        "It is never a test: its exit code is 0.",
    )
    parser.add_argument(
        "--repeat",
        type=int,
        default=5,
        metavar="N",
        help="measured runs of each command (default: 5)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the numbers to FILE as well"
    )
    return parser.parse_args()


def main() -> None:
    """Measure until all is done or interrupted, and show the figures so far."""
    asked = options()
    compared: list[Comparison] = []
    with tempfile.TemporaryDirectory(
        prefix="dojo-benchmark-", ignore_cleanup_errors=True
    ) as folder:
        try:
            compared = comparisons(Path(folder))
            for comparison in compared:
                comparison.measure(max(asked.repeat, 1), Path(folder))
        except KeyboardInterrupt:
            say("interrupted: these are the figures so far")
        say("")
    figures = [one.figures() for one in compared if one.ours.seconds and one.other.seconds]
    if figures:
        print(table(figures))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

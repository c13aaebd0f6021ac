"""Measures the time from a save to the verdict, in `dojo watch` and with a cold `pytest`.

Where a mistake is saved, again and again, it is the time to the first red spec.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.__main__ import ROOT, UNSET, copied, discovered, say
from dojo.catalogue import KataNotFoundError, find, read_catalogue
from selfcheck.trial import source_of

ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in UNSET} | {"DOJO_PROGRESS": "0"}
WHITE, OTHER = 0.15, 0.25
MIB = 1 << 20


class Watch:
    """`dojo watch --json` in a folder, as an editor sees it."""

    def __init__(self, folder: Path, kata: str) -> None:
        words = [sys.executable, "-m", "dojo.cli", "watch", kata, "--json"]
        self.process = subprocess.Popen(
            words, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
        )
        self.verdict()

    def verdict(self) -> dict[str, Any]:
        """The next line that it writes."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("dojo watch has ended; run it by hand to see why")
        verdict: dict[str, Any] = json.loads(line)
        return verdict

    def save(self, file: Path, content: bytes) -> tuple[float, dict[str, Any]]:
        """Save a file; the seconds until the verdict, and the verdict."""
        began = time.perf_counter()
        file.write_bytes(content)
        verdict = self.verdict()
        return time.perf_counter() - began, verdict

    def memory(self) -> dict[str, float]:
        """The memory in MiB of the watch itself, and of the warm process."""
        front = psutil.Process(self.process.pid)
        warm = front.children()[0]
        return {"watch": front.memory_info().rss / MIB, "warm": warm.memory_info().rss / MIB}

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


@dataclass
class Kata:
    """What was measured for one kata; all in seconds."""

    name: str
    target: float
    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    red: list[float] = field(default_factory=list)
    lights: set[str] = field(default_factory=set)

    def figures(self) -> dict[str, Any]:
        """The numbers, for people and for JSON."""
        warm, cold = statistics.median(self.warm), statistics.median(self.cold)
        return {
            "kata": self.name,
            "watch": warm,
            "watch_min": min(self.warm),
            "pytest": cold,
            "pytest_min": min(self.cold),
            "red": statistics.median(self.red),
            "times": cold / warm,
            "target": self.target,
            "lights": sorted(self.lights),
        }


def cold(folder: Path, kata: str) -> float:
    """The seconds that a cold pytest takes for one kata."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", f"katas/{kata}"],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return time.perf_counter() - began


def measure(folder: Path, kata: Kata, repeat: int, cold_repeat: int, pause: float) -> None:
    """Save the reference again and again, and run pytest in between."""
    file = folder / "katas" / kata.name / "app.py"
    content = (folder / "solutions" / kata.name / "app.py").read_bytes()
    file.write_bytes(content)
    watch = Watch(folder, kata.name)
    try:
        for turn in range(repeat + 1):
            say(f"{kata.name}: {turn or 'warm-up'}")
            # A person does not save as soon as the verdict is there.
            time.sleep(pause)
            seconds, verdict = watch.save(file, content + b"#" * (turn + 1))
            if turn:
                kata.warm.append(seconds)
                kata.lights.add(str(verdict["light"]))
            if 0 < turn <= cold_repeat:
                kata.cold.append(cold(folder, kata.name))
        mistake = sorted((ROOT / "solutions" / kata.name / "mistakes").glob("*.diff"))[0]
        wrong = source_of(mistake).encode()
        for turn in range(repeat + 1):
            say(f"{kata.name}: red {turn or 'warm-up'}")
            time.sleep(pause)
            _, verdict = watch.save(file, wrong + b"#" * (turn + 1))
            if turn:
                kata.red.append(verdict["first_red_ms"] / 1000)
    finally:
        watch.stop()


def memory(folder: Path, kata: str, saves: int) -> list[dict[str, float]]:
    """The memory of the watch over many saves."""
    file = folder / "katas" / kata / "app.py"
    content = (folder / "solutions" / kata / "app.py").read_bytes()
    file.write_bytes(content)
    watch = Watch(folder, kata)
    noted = []
    try:
        for number in range(saves + 1):
            if number % max(1, saves // 5) == 0:
                say(f"memory: {number} of {saves}")
                noted.append({"saves": number, **watch.memory()})
            watch.save(file, content + b"#" * (number % 50 + 1))
    finally:
        watch.stop()
    return noted


def table(figures: list[dict[str, Any]]) -> str:
    """The figures as aligned columns."""
    rows = [("kata", "watch", "least", "target", "first red", "pytest", "least", "times")]
    for one in figures:
        rows.append(
            (
                one["kata"],
                f"{one['watch']:.3f}",
                f"{one['watch_min']:.3f}",
                f"< {one['target']:.2f}",
                f"{one['red']:.3f}",
                f"{one['pytest']:.2f}",
                f"{one['pytest_min']:.2f}",
                f"{one['times']:.1f}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    wrong = [one["kata"] for one in figures if one["lights"] != ["green"]]
    lines += [
        "",
        "Seconds from a save to the verdict on a right solution: medians, and the least of all;",
        "and to the first red spec where a mistake is saved again.",
    ]
    lines += [f"unreliable: {name} was not always green" for name in wrong]
    return "\n".join(lines)


def options() -> argparse.Namespace:
    """The parsed command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.watch",
        description="Measures the time from a save to the verdict in `dojo watch`, from outside, "
        "and compares it with a cold pytest on the same kata. It is never a test.",
    )
    parser.add_argument("katas", nargs="*", metavar="KATA", help="names (default: all)")
    parser.add_argument("--repeat", type=int, default=20, help="saves of each kata (default: 20)")
    parser.add_argument("--cold", type=int, default=20, help="cold runs of each (default: 20)")
    parser.add_argument("--pause", type=float, default=1.0, help="s before a save (default: 1)")
    parser.add_argument("--memory", type=int, default=0, metavar="N", help="memory over N saves")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE")
    return parser.parse_args()


def main() -> None:
    """Measure until all is done or interrupted, and show the figures so far."""
    asked = options()
    measured: list[Kata] = []
    noted: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="dojo-benchmark-", ignore_cleanup_errors=True) as name:
        folder = copied(Path(name) / "tree")
        katas = read_catalogue(ROOT)
        try:
            wanted = [find(katas, word).name for word in asked.katas]
        except KataNotFoundError as error:
            raise SystemExit(f"benchmarks.watch: {error}") from None
        names = [name for name in discovered(folder) if not wanted or name in wanted]
        try:
            for kata in names:
                target = WHITE if katas[kata].belt == "white" else OTHER
                measured.append(Kata(kata, target))
                measure(folder, measured[-1], asked.repeat, asked.cold, asked.pause)
            if asked.memory:
                noted = memory(folder, names[0], asked.memory)
        except KeyboardInterrupt:
            say("interrupted: these are the figures so far")
        say("")
    figures = [kata.figures() for kata in measured if kata.warm and kata.cold]
    if figures:
        print(table(figures))
    for line in noted:
        print(
            f"after {line['saves']:>4.0f} saves: the watch has {line['watch']:.1f} MiB, "
            f"the warm process {line['warm']:.1f} MiB"
        )
    if asked.json:
        whole = {"katas": figures, "memory": noted}
        asked.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

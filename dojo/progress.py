"""What was run and how it went: a JSON line for each kata of a run, in `.dojo/progress.jsonl`.

The folder `.dojo/` is the learner's own, and git does not see it. A file that cannot be written or
read never stops anything: progress is a comfort.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dojo.lights import Light

FOLDER = ".dojo"
FILE, OLDER = "progress.jsonl", "progress.1.jsonl"
MOST = 1 << 20  # bytes of a file, before the next one is begun
LIGHTS = ("green", "red", "amber", "grey")


@dataclass(frozen=True)
class Run:
    """How the specs of one kata went in one run.

    `at` is the time of its end, ISO 8601 in UTC. `kata` is the full name, `k03_order_checkout`.
    `passed` and `failed` count the specs that ran, `total` counts all specs of the kata: where some
    were left out, as with `-k` or `-x`, the two do not add up to `total`. `seconds` is what the
    specs took together, and `first_red` the title of the first red spec, or empty.
    """

    at: str
    kata: str
    light: Light
    passed: int
    failed: int
    total: int
    seconds: float
    first_red: str

    @property
    def whole(self) -> bool:
        """Whether all specs of the kata ran."""
        return self.passed + self.failed == self.total

    @property
    def done(self) -> bool:
        """Whether all specs of the kata passed."""
        return self.light == "green" and self.whole


def state_folder(root: Path) -> Path:
    """The folder for what the dojo notes about its learner, made where it is missing.

    Raises `OSError`.
    """
    folder = root / FOLDER
    ignored = folder / ".gitignore"
    if not ignored.exists():
        folder.mkdir(exist_ok=True)
        ignored.write_text("*\n", encoding="utf-8")
    return folder


def is_kept(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether runs are noted: not in CI, and not where `DOJO_PROGRESS=0` says so."""
    ci = environment.get("CI", "").lower() not in ("", "0", "false")
    return not ci and environment.get("DOJO_PROGRESS", "") != "0"


_said = False


def append(root: Path, runs: Iterable[Run]) -> None:
    """Note runs.

    Never raises: what goes wrong is said once, on stderr.
    """
    global _said
    lines = "".join(f"{json.dumps(vars(run))}\n" for run in runs)
    if not lines or not is_kept():
        return
    try:
        _write(state_folder(root) / FILE, lines.encode())
    except OSError as error:
        if not _said:
            _said = True
            with contextlib.suppress(Exception):
                print(
                    f"dojo: the result is not noted in {FOLDER}{os.sep}: {error.strerror or error} "
                    "(DOJO_PROGRESS=0 switches the notes off)",
                    file=sys.stderr,
                )


def _write(file: Path, content: bytes) -> None:
    with contextlib.suppress(OSError):  # where another program has it open, on Windows
        if file.stat().st_size + len(content) > MOST:
            file.replace(file.with_name(OLDER))
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0))
    try:
        # A line that was broken off, as on a full disk, must not spoil the one behind it.
        if os.lseek(descriptor, 0, os.SEEK_END):
            os.lseek(descriptor, -1, os.SEEK_END)
            if os.read(descriptor, 1) != b"\n":
                content = b"\n" + content
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def read(root: Path) -> list[Run]:
    """All runs that were noted, the oldest first; damaged lines are left out."""
    runs = []
    for name in (OLDER, FILE):
        with contextlib.suppress(OSError):
            content = (root / FOLDER / name).read_bytes()
            runs += [run for line in content.splitlines() if (run := _run_in(line))]
    return runs


def _run_in(line: bytes) -> Run | None:
    try:
        noted: Any = json.loads(line)
        run = Run(**{field.name: noted[field.name] for field in fields(Run)})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    texts = (run.at, run.kata, run.light, run.first_red)
    counts = (run.passed, run.failed, run.total)
    right = (
        all(type(text) is str for text in texts)
        and all(type(count) is int for count in counts)
        and type(run.seconds) in (int, float)
        and run.light in LIGHTS
    )
    return run if right else None


def latest(root: Path) -> dict[str, Run]:
    """The last run of each kata that tells the kata's light, by full name.

    A run of some of the specs does so only if it is red or amber.
    """
    return {run.kata: run for run in read(root) if run.whole or run.light in ("red", "amber")}

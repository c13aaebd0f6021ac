"""A project of two tiny katas, and a `dojo watch` in it that is read line by line."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from selfcheck.projects import ROOT

ONE, TWO = "k01_first", "k02_second"
PATIENCE = 90

TOML = """\
title = "One task"
belt = "white"
minutes = 5
points = 10
hints = ["a nudge", "a direction", "nearly the solution"]
"""
SPECS = '''\
async def test_the_client_gets_a_response(client):
    """It is what a client waits for."""
    assert (await client.get("/")).status_code == 200


async def test_the_line_comes_after_the_response(client, timeline):
    """A client does not wait for a log."""
    await client.get("/")

    assert timeline.order("response", "write") == ["response", "write"]
'''
GREEN = """\
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()


def write():
    with open("log.txt", "a", encoding="utf-8") as log:
        log.write("called\\n")


@app.get("/")
def home(tasks: BackgroundTasks):
    tasks.add_task(write)
"""
RED = GREEN.replace("tasks.add_task(write)", "write()")
ENDLESS = GREEN.replace(
    'log.write("called\\n")', 'log.write("called\\n")\n        while True:\n            pass'
)
STOPS = GREEN.replace("    tasks.add_task(write)", "    __import__('os')._exit(7)")
FIRST_RED = "the line comes after the response"


def make(root: Path) -> Path:
    """Make the project, with two green katas."""
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    (root / "tests").mkdir()
    for name in (ONE, TWO):
        (root / "katas" / name).mkdir(parents=True)
        (root / "katas" / name / "kata.toml").write_text(TOML, encoding="utf-8")
        (root / "katas" / name / "README.md").write_text(f"# {name}\n", encoding="utf-8")
        (root / "tests" / f"test_{name}.py").write_text(SPECS, encoding="utf-8")
        app_of(root, name).write_text(GREEN, encoding="utf-8")
    return root


def app_of(root: Path, name: str = ONE) -> Path:
    """The file that a learner saves."""
    return root / "katas" / name / "app.py"


def environment(**more: str) -> dict[str, str]:
    """The environment of a watch: with progress, and one second for each spec."""
    kept = {k: v for k, v in os.environ.items() if k not in ("CI", "PYTEST_ADDOPTS")}
    return kept | {"PYTEST_TIMEOUT": "1", "PYTHONUNBUFFERED": "1"} | more


class Watch:
    """`dojo watch --json`, with what it has written by now."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        self.options = options
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dojo.cli", "watch", "k01", "--json", *options],
            cwd=root,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.errors: list[str] = []
        for stream, take in (
            (self.process.stdout, self.lines.put),
            (self.process.stderr, self.errors.append),
        ):
            threading.Thread(target=self._read, args=(stream, take), daemon=True).start()

    def _read(self, stream: Any, take: Any) -> None:
        for line in stream:
            take(line)
        take("")

    def verdict(self) -> dict[str, Any]:
        """The next verdict."""
        line = self.lines.get(timeout=PATIENCE)
        assert line, f"dojo watch has ended: {''.join(self.errors)}"
        found: dict[str, Any] = json.loads(line)
        return found

    def until(self, light: str) -> dict[str, Any]:
        """The next verdict with this light: a half-written file may have one of its own."""
        while (found := self.verdict())["light"] != light:
            pass
        return found

    def until_specs(self, count: int) -> dict[str, Any]:
        """The next verdict on so many specs."""
        while (found := self.verdict())["passed"] + found["failed"] != count:
            pass
        return found

    def save(self, content: str, name: str = ONE) -> None:
        """Save by rename, as many editors do."""
        new = app_of(self.root, name).with_suffix(".new")
        new.write_text(content, encoding="utf-8")
        new.replace(app_of(self.root, name))

    def is_silent(self) -> bool:
        """Whether nothing was written that nobody has read."""
        return self.lines.empty()

    def stop(self, by: int = signal.SIGTERM) -> int:
        """End it by a signal; its exit code."""
        self.process.send_signal(by)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()

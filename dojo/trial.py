"""A trial: the specs of one kata against one answer, in a process of its own that is forked from a
warm one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from dojo.catalogue import Kata
from dojo.finding import Finding

SECONDS = 60.0
PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout")


@dataclass
class Trial:
    """How one answer did: a finding for each red spec, None for each green one, by test name."""

    kata: str
    answer: Path
    specs: dict[str, Finding | None] = field(default_factory=dict)
    trouble: str = ""

    @property
    def red(self) -> dict[str, Finding]:
        return {name: found for name, found in self.specs.items() if found is not None}

    @property
    def green(self) -> bool:
        return bool(self.specs) and not self.red and not self.trouble


def run_trial(kata: Kata, answer: Path, specs: tuple[str, ...] = ()) -> Trial:
    """Try one answer file: against all specs of its kata, or those named in `specs`.

    What goes wrong with the process is the trial's `trouble`, not an exception.
    """
    trial = Trial(kata.name, answer)
    context = _context()
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(there, kata, answer, specs), daemon=True)
    process.start()
    there.close()
    try:
        if here.poll(SECONDS):
            trial.specs = {
                name: Finding.read(data) if data else None for name, data in here.recv().items()
            }
        else:
            trial.trouble = f"no verdict within {SECONDS:g} s"
    except EOFError:
        process.join(5)
        trial.trouble = f"its process ended with exit code {process.exitcode} and no verdict"
    finally:
        here.close()
        if process.exitcode is None:
            process.join(2)
            process.kill()
        process.join()
    return trial


def _context() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dojo.warm"])
    return context


class _Collector:
    """A pytest plugin that keeps what each spec ended with."""

    def __init__(self) -> None:
        self.specs: dict[str, dict[str, Any] | None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.partition("::")[2]
        if report.failed or report.skipped:
            data = getattr(report, "finding", None)
            self.specs[name] = data or Finding("", name, message=str(report.longrepr)).write()
        elif report.when == "call":
            self.specs.setdefault(name, None)


def _child(results: Connection, kata: Kata, answer: Path, specs: tuple[str, ...]) -> None:
    collector = _Collector()
    with tempfile.TemporaryDirectory(prefix="dojo-") as folder, _silenced():
        tree = Path(folder) / "answers"
        (tree / kata.name).mkdir(parents=True)
        shutil.copyfile(answer, tree / kata.name / "app.py")
        os.chdir(kata.root)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        pytest.main(
            [
                *([f"{kata.spec_file}::{name}" for name in specs] or [str(kata.spec_file)]),
                f"--rootdir={kata.root}",
                f"--answers={tree}",
                f"--basetemp={folder}/specs",
                *(option for plugin in PLUGINS for option in ("-p", plugin)),
                *("-p", "no:cacheprovider", "--no-summary", "-W", "ignore"),
            ],
            plugins=[collector],
        )
    results.send(collector.specs)
    results.close()
    sys.stdout.flush()
    os._exit(0)


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    yield

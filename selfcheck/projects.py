"""Small projects of katas for the tests of the plugin, each run in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from selfcheck.warm import QUIET, WarmPytest

ROOT = Path(__file__).resolve().parent.parent
KATA = "k01_notification_log"
RIGHT = (ROOT / "solutions" / KATA / "app.py").read_text(encoding="utf-8")
LIGHT_ROW = re.compile(r"^[●*] (\w+) +(k\d\d)  .*?(\d+)/(\d+)(?:  \d+ of \d+ run)?$", re.MULTILINE)
OURS = re.compile(r"INTERNALERROR|Traceback|dojo[/\\]\w+\.py")
# What Python says of a limit that ended in a callback of its own, where an exception is lost.
LOST = re.compile(
    r"^Exception ignored in.*?^dojo\.harness\.\w+\.(?:ThreadStopped|TimeLimit)Error.*?$",
    re.M | re.S,
)
PATIENCE = 120


def changed(old: str, new: str, text: str = RIGHT) -> str:
    """The reference answer with a change in it."""
    assert old in text, f"the reference answer has no {old!r} any more"
    return text.replace(old, new)


CALLED = changed("background_tasks.add_task(write_log, ", "write_log(")
CRASHES = changed(
    '    return {"status"', '    raise LookupError("no such thing")\n    return {"status"'
)
LIKELY = "the line was written before the response"
SPEC = f"tests/test_{KATA}.py"
Once = Callable[[str, Callable[[], pytest.RunResult]], pytest.RunResult]


class Project:
    """A folder with copies of the first kata, under names of their own."""

    def __init__(self, pytester: pytest.Pytester, warm: WarmPytest | None = None) -> None:
        self.pytester = pytester
        self.warm = warm
        self.path = pytester.path
        for name in ("conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / name, self.path)
        (self.path / "tests").mkdir()

    def add(self, name: str = KATA, answer: str | bytes | None = None, *, like: str = KATA) -> Path:
        """Add a kata with this answer, or with its stub; returns the answer's file."""
        folder = self.path / "katas" / name
        shutil.copytree(ROOT / "katas" / like, folder, dirs_exist_ok=True)
        shutil.copy(ROOT / "tests" / f"test_{like}.py", self.path / "tests" / f"test_{name}.py")
        return self.answer(answer, folder) if answer is not None else folder / "app.py"

    def answer(self, answer: str | bytes, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        content = answer if isinstance(answer, bytes) else answer.encode()
        (folder / "app.py").write_bytes(content)
        return folder / "app.py"

    def run(self, *arguments: str | Path) -> pytest.RunResult:
        """Run pytest here; fails where it does not end, or shows a traceback of the dojo's own."""
        result = self._run("-p", "no:randomly", *map(str, arguments))
        assert not OURS.search(LOST.sub("", said(result))), (
            "an error of the dojo's own came through"
        )
        return result

    def _run(self, *arguments: str) -> pytest.RunResult:
        warm = self.warm
        if warm is None or not warm.is_usable:
            return self.pytester.runpytest_subprocess(*arguments, timeout=PATIENCE)
        scratch = tempfile.mkdtemp(prefix="runpytest-", dir=self.path)
        streams = self.path / "stdout", self.path / "stderr"
        began = time.perf_counter()
        words = [f"--basetemp={scratch}", *QUIET, *arguments]
        code = warm.run(words, Path.cwd(), *streams, PATIENCE)
        seconds = time.perf_counter() - began
        out, err = (file.read_text(encoding="utf-8").splitlines() for file in streams)
        print(*out, sep="\n")
        return pytest.RunResult(code, out, err, seconds)


def two_wrong(project: Project) -> Project:
    """One kata that is green, one that is not begun, and two that are wrong."""
    project.add(KATA, RIGHT)
    project.add("k02_not_begun")
    project.add("k03_called", CALLED)
    project.add("k04_crashes", CRASHES)
    return project


def said(result: pytest.RunResult) -> str:
    """All that a run wrote."""
    return f"{result.stdout.str()}\n{result.stderr.str()}"


def lights(result: pytest.RunResult) -> dict[str, str]:
    """The summary: the light of each kata."""
    return {kata: light for light, kata, _, _ in LIGHT_ROW.findall(result.stdout.str())}


def scores(result: pytest.RunResult) -> dict[str, tuple[int, int]]:
    """The summary: how many specs of each kata passed, and of how many."""
    return {k: (int(n), int(of)) for _, k, n, of in LIGHT_ROW.findall(result.stdout.str())}


def part(result: pytest.RunResult, number: str) -> str:
    """The details of one kata; empty where a run shows none of it."""
    pieces = re.split(r"^(?:-+ (k\d\d) .*-|=+ katas =+)$", result.stdout.str(), flags=re.M)
    return "".join(
        text for name, text in zip(pieces[1::2], pieces[2::2], strict=True) if name == number
    )


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmPytest | None]:
    """A process that forks for each run of pytest; None where there is no fork."""
    if not hasattr(os, "fork"):
        yield None
        return
    with closing(WarmPytest()) as warm:
        yield warm


@pytest.fixture
def project(
    pytester: pytest.Pytester, warm: WarmPytest | None, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A project that has no katas yet."""
    monkeypatch.delenv("PY_COLORS", raising=False)
    return Project(pytester, warm)


@pytest.fixture(scope="session")
def once() -> Once:
    """Runs by name, each made by the first test that looks at it, also where that failed."""
    runs: dict[str, pytest.RunResult | BaseException] = {}

    def run(name: str, make: Callable[[], pytest.RunResult]) -> pytest.RunResult:
        if name not in runs:
            try:
                runs[name] = make()
            except BaseException as error:  # noqa: BLE001
                runs[name] = error
        result = runs[name]
        if isinstance(result, BaseException):
            raise result
        return result

    return run

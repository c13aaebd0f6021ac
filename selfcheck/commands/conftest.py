"""A checkout with three katas for the tests of the learner's commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from dojo.catalogue import Kata, read_catalogue
from selfcheck.projects import ROOT

NAMES = ("k01_notification_log", "k02_welcome_email", "k03_order_checkout")
Ran = Callable[..., None]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which nothing is begun; it is the working directory."""
    root = tmp_path / "checkout"
    for name in NAMES:
        shutil.copytree(ROOT / "katas" / name, root / "katas" / name)
        for file in (f"tests/test_{name}.py", f"dojo/stubs/{name}.py.txt"):
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, root / file)
        shutil.copy(root / f"dojo/stubs/{name}.py.txt", root / "katas" / name / "app.py")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def kata(checkout: Path) -> Kata:
    """The second kata of the checkout."""
    return read_catalogue(checkout)["k02_welcome_email"]


@pytest.fixture
def ran(checkout: Path) -> Ran:
    """Note that a kata has run."""

    def note(name: str, light: str, passed: int, failed: int, first_red: str = "") -> None:
        run = {
            "at": datetime.now(timezone.utc).isoformat(),
            "kata": name,
            "light": light,
            "passed": passed,
            "failed": failed,
            "total": passed + failed,
            "seconds": 0.1,
            "first_red": first_red,
        }
        (checkout / ".dojo").mkdir(exist_ok=True)
        with open(checkout / ".dojo" / "progress.jsonl", "a", encoding="utf-8") as file:
            file.write(f"{json.dumps(run)}\n")

    return note

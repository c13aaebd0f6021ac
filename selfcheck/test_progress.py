"""Runs are noted, cheaply, and nothing that is wrong with the notes ever stops a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dojo import progress
from dojo.plugin import listeners
from dojo.progress import Run
from selfcheck.projects import CALLED, KATA, RIGHT, Project

pytestmark = pytest.mark.fast
RUN = Run("2026-01-15T12:00:00+00:00", KATA, "red", 1, 2, 3, 0.5, "the mail leaves")


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("DOJO_PROGRESS", raising=False)
    monkeypatch.setattr(progress, "_said", False)


def test_runs_come_back_as_they_were_noted(tmp_path: Path):
    """In order, and git does not see them."""
    other = Run("2026-01-15T12:00:01+00:00", KATA, "green", 3, 0, 3, 0.5, "")
    progress.append(tmp_path, [RUN])
    progress.append(tmp_path, [other])

    assert progress.read(tmp_path) == [RUN, other]
    assert progress.latest(tmp_path) == {KATA: other}
    assert (tmp_path / ".dojo" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize(
    "damage",
    [
        b"\xff\x00",
        b"{",
        b"[]",
        b"null",
        b'{"at": 1}',
        b"[" * 9_999,
        json.dumps(vars(RUN))[:-9].encode(),
    ],
    ids=range(7),
)
def test_a_damaged_line_is_left_out(tmp_path: Path, damage: bytes):
    """Also one that was broken off, without its end of line."""
    progress.append(tmp_path, [RUN])
    with (tmp_path / ".dojo" / "progress.jsonl").open("ab") as file:
        file.write(damage)
    progress.append(tmp_path, [RUN])

    assert progress.read(tmp_path) == [RUN, RUN]


@pytest.mark.parametrize(
    ("field", "value"), [("light", "blue"), ("passed", "1"), ("seconds", None), ("kata", 3)]
)
def test_a_line_with_other_values_is_left_out(tmp_path: Path, field: str, value: object):
    """A later version may write something else."""
    file = progress.state_folder(tmp_path) / "progress.jsonl"
    file.write_text(
        json.dumps(vars(RUN) | {field: value}) + "\n" + json.dumps(vars(RUN) | {"new": 1})
    )

    assert progress.read(tmp_path) == [RUN]


def test_a_large_file_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Twice the limit is the most that is kept."""
    monkeypatch.setattr(progress, "MOST", 1_000)
    for _ in range(30):
        progress.append(tmp_path, [RUN])

    sizes = [file.stat().st_size for file in (tmp_path / ".dojo").glob("progress*.jsonl")]
    assert len(sizes) == 2
    assert max(sizes) <= 1_000
    assert progress.read(tmp_path)[-1] == RUN


@pytest.mark.parametrize(
    ("partly", "tells"),
    [
        ({"light": "green", "passed": 1, "failed": 0}, False),
        ({"light": "grey", "passed": 0, "failed": 1}, False),
        ({"light": "red", "passed": 0, "failed": 1}, True),
    ],
)
def test_a_run_of_some_specs_tells_the_light_only_if_it_is_bad(tmp_path: Path, partly, tells):
    """One green spec does not make a kata green, and one red spec makes it red."""
    some = Run(**(vars(RUN) | partly))
    progress.append(tmp_path, [RUN, some])

    assert progress.latest(tmp_path)[KATA] == (some if tells else RUN)
    assert not some.done


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [("CI", "true", False), ("CI", "", True), ("CI", "false", True), ("DOJO_PROGRESS", "0", False)],
)
def test_ci_and_a_wish_switch_it_off(
    tmp_path: Path, monkeypatch, name: str, value: str, kept: bool
):
    """Nobody reads the notes of a CI job."""
    monkeypatch.setenv(name, value)
    progress.append(tmp_path, [RUN])

    assert (tmp_path / ".dojo").exists() == kept


def test_what_cannot_be_written_is_said_once(tmp_path: Path, capsys):
    """A folder that is read-only, a disk that is full."""
    (tmp_path / ".dojo").touch()
    for _ in range(3):
        progress.append(tmp_path, [RUN])

    assert capsys.readouterr().err.count("not noted") == 1
    assert progress.read(tmp_path) == []


def test_a_listener_that_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch, capsys):
    """What is done at the end of a run is no part of it."""
    told: list[Run] = []

    def fail(_root: Path, _runs: object) -> None:
        raise LookupError("no such session")

    monkeypatch.setattr(listeners, "LISTENERS", [fail, lambda _root, runs: told.extend(runs)])
    listeners.run_ended(tmp_path, [RUN])

    assert told == [RUN]
    assert "no such session" in capsys.readouterr().err


# ----- pytest


def test_pytest_notes_the_learners_own_katas(project: Project, tmp_path_factory):
    """And not those of others, which `--solutions` runs."""
    file = project.add(KATA, CALLED)
    other = tmp_path_factory.mktemp("other") / KATA
    project.answer(RIGHT, other)
    project.run()
    project.run(f"--solutions={other}")
    project.run("-k", "utf", f"--solutions={file}")

    first, second = progress.read(project.path)
    assert (first.kata, first.light, first.whole) == (KATA, "red", True)
    assert first.first_red
    assert (second.light, second.passed, second.whole, second.total) == (
        "green",
        1,
        False,
        first.total,
    )

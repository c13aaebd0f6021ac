"""Rituals in a checkout: baby steps put the last file back, and one spec at a time is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from dojo.progress import Run
from dojo.session import baby_steps, joined
from selfcheck.projects import CALLED, KATA, Project, said

MINUTES, LATE = 5.0, 400.0


@pytest.fixture
def app(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the one kata of a project."""
    monkeypatch.chdir(project.path)
    file = project.add(KATA, "first")
    stub = project.path / "dojo" / "stubs" / f"{KATA}.py.txt"
    stub.parent.mkdir(parents=True, exist_ok=True)
    stub.write_text("stub", encoding="utf-8")
    return file


def step(project: Project, at: float, light: str, passed: int, ran: int = 9) -> bool:
    """End a run; whether the file was put back."""
    run = Run("", KATA, light, passed, ran - passed, 9, 0.1, "")  # type: ignore[arg-type]
    return bool(baby_steps.after_run(project.path, [run], MINUTES, at))


def backups(project: Project) -> list[str]:
    return [file.read_text("utf-8") for file in (project.path / ".dojo" / "backups").glob("*.py")]


def test_what_is_not_green_in_time_goes_back_to_the_last_step(project, app, capsys):
    assert not step(project, 0, "red", 3)
    app.write_text("second", encoding="utf-8")
    assert not step(project, 100, "red", 4)
    app.write_text("third, and too much", encoding="utf-8")
    assert not step(project, 350, "amber", 0)
    assert step(project, 100 + LATE, "red", 4)

    assert app.read_text("utf-8") == "second"
    assert backups(project) == ["third, and too much"]
    written = capsys.readouterr().err
    assert "5 minutes are over" in written
    assert "with 4 of 9 green" in written
    assert "dojo restore k01" in written


def test_a_step_that_is_made_late_counts(project, app):
    """What is green need not be thrown away."""
    step(project, 0, "red", 3)
    app.write_text("late", encoding="utf-8")

    assert not step(project, LATE, "red", 4)
    assert app.read_text("utf-8") == "late"
    assert backups(project) == []


def test_after_going_back_there_is_a_whole_step_again(project, app):
    step(project, 0, "red", 3)
    app.write_text("too much", encoding="utf-8")
    assert step(project, LATE, "red", 3)
    app.write_text("smaller", encoding="utf-8")

    assert not step(project, LATE + 200, "red", 3)
    assert app.read_text("utf-8") == "smaller"


def test_nothing_is_lost_where_nothing_was_written(project, app):
    """After a break, the file is as it was."""
    step(project, 0, "red", 3)

    assert not step(project, LATE, "red", 3)
    assert backups(project) == []


def test_a_run_of_some_specs_decides_nothing(project, app):
    step(project, 0, "red", 3)
    app.write_text("at work", encoding="utf-8")

    assert not step(project, LATE, "red", 0, ran=1)
    assert app.read_text("utf-8") == "at work"


def test_another_session_begins_anew(project, app):
    step(project, 0, "red", 3)
    baby_steps.forget(project.path)
    app.write_text("the next day", encoding="utf-8")

    assert not step(project, 86_400, "red", 0)
    assert app.read_text("utf-8") == "the next day"


def test_one_spec_at_a_time_shows_the_next_red_one(project, monkeypatch):
    """And says how many are behind it; `-v` shows all."""
    monkeypatch.setenv("DOJO_PROGRESS", "0")  # nothing is to be sent here
    project.add(KATA, CALLED)
    joined.write(project.path, joined.Joined("http://127.0.0.1:9", "Tea", "", ""))
    joined.write_rituals(project.path, joined.Rituals(one_spec=True))
    one, verbose = said(project.run()), said(project.run("-v"))

    assert one.count("✗ ") == 1
    assert "more red: one spec at a time (-v shows all)" in one
    assert verbose.count("✗ ") > 1

"""The specs run against a mistake that is kept as a diff: `pytest --solutions FILE.diff`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from selfcheck.diffs import diff_of
from selfcheck.projects import CALLED, KATA, RIGHT, Project, part, said, scores


@pytest.fixture
def called(project: Project) -> Path:
    """A project with the diff of a common mistake in it."""
    project.add()
    folder = project.path / "solutions" / KATA
    (folder / "mistakes").mkdir(parents=True)
    (folder / "app.py").write_text(RIGHT, encoding="utf-8")
    file = folder / "mistakes" / "written_at_once.diff"
    file.write_text(diff_of(RIGHT, CALLED), encoding="utf-8")
    return file


@pytest.mark.parametrize("more", [(), ("-n", "2")])
def test_specs_run_against_a_diff(
    project: Project, called: Path, more: tuple[str, ...], tmp_path_factory, monkeypatch
):
    """Its module is called like the mistake, and is gone afterwards; what to change is the diff."""
    scratch = tmp_path_factory.mktemp("scratch")
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    path = called.relative_to(project.path)

    result = project.run(f"--solutions={path}", *more)

    text = part(result, "k01")
    passed, of = scores(result)["k01"]
    assert 0 < passed < of
    assert f"{KATA}/mistakes/written_at_once.py:" in text.replace("\\", "/")
    assert f"  change   {path}" in said(result)
    assert f"run alone  pytest --solutions={path} " in text
    assert list(scratch.glob("dojo-mistake-*")) == []


def test_a_diff_elsewhere_finds_its_base_in_the_checkout(project: Project, called: Path):
    """As somebody may have sent it."""
    elsewhere = project.path / "mail" / "k01_from_ada.diff"
    elsewhere.parent.mkdir()
    called.rename(elsewhere)

    result = project.run(f"--solutions={elsewhere}")

    assert "k01_from_ada.py:" in part(result, "k01")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (f"# new\n{RIGHT}", "does not fit app.py"),
        (None, "its base is not there: looked for"),
    ],
)
def test_a_diff_that_cannot_be_run_is_one_message(
    project: Project, called: Path, change: str | None, message: str
):
    """Wrong usage, and no traceback."""
    base = called.parent.parent / "app.py"
    if change is None:
        base.unlink()
    else:
        base.write_text(change, encoding="utf-8")

    result = project.run(f"--solutions={called}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.stderr.lines if line]
    assert len(lines) == 1
    assert lines[0].startswith(f"ERROR: {called}: ")
    assert message in lines[0]

"""`dojo watch` says in a line what is wrong, and nothing stops it that need not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dojo.cli import main as dojo
from selfcheck.watch.small import GREEN, RED, Watch, app_of, environment, make

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("kata", "said"), [("k99", "there is no kata 'k99'"), ("secnd", "the nearest is k02_second")]
)
def test_an_unknown_kata_names_the_nearest(tmp_path: Path, monkeypatch, capsys, kata, said):
    """A typing mistake costs one look."""
    monkeypatch.chdir(make(tmp_path))

    assert dojo(["watch", kata]) == 2
    assert said in capsys.readouterr().err


def test_a_file_in_the_place_of_the_notes_stops_nothing(tmp_path: Path):
    """A read-only folder or a full disk: said once, and all the rest works; until Ctrl-C."""
    (make(tmp_path) / ".dojo").write_text("", encoding="utf-8")
    watch = Watch(tmp_path)
    try:
        lights = [watch.verdict()["light"]]
        for content in (RED, GREEN):
            watch.save(content)
            lights.append(watch.verdict()["light"])
    finally:
        code = watch.stop(signal.SIGINT)

    assert code == 130
    assert lights == ["green", "red", "green"]
    assert "".join(watch.errors).count("not noted") == 1


def test_lines_name_a_place_that_an_editor_finds(tmp_path: Path):
    """And end with the light; the watch itself ends when nobody reads any more."""
    app_of(make(tmp_path)).write_text(RED, encoding="utf-8")
    words = [sys.executable, "-m", "dojo.cli", "watch", "k01", "--plain"]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, encoding="utf-8"
    ) as watch:
        assert watch.stdout is not None
        lines = []
        for line in watch.stdout:
            lines.append(line.rstrip())
            if line.startswith("● "):
                break
        watch.terminate()

    assert lines[0] == "running k01_first"
    place = f"{Path('katas', 'k01_first', 'app.py')}:"
    assert any(line.startswith(place) and ": error: The line comes" in line for line in lines)
    assert lines[-1].startswith("● red    k01  ✓✗  1/2")

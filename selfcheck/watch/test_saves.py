"""Each save gets its verdict, however an editor saves and whatever the solution does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from dojo import progress
from dojo.watch import saves
from dojo.watch.events import Event, Noticed, Saved
from dojo.watch.saves import Saves
from selfcheck.watch.small import (
    ENDLESS,
    FIRST_RED,
    GREEN,
    ONE,
    RED,
    STOPS,
    TWO,
    Watch,
    app_of,
    make,
)

CAN_FORK = hasattr(os, "fork")
HOW = [
    pytest.param(
        (), id="fork", marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    ),
    pytest.param(("--no-fork", "--poll"), id="no fork, polling"),
]


@pytest.fixture(scope="module", params=HOW)
def watch(request: pytest.FixtureRequest, tmp_path_factory) -> Iterator[Watch]:
    """A watch that has said that the first kata is green."""
    watch = Watch(make(tmp_path_factory.mktemp("watched")), *request.param)
    try:
        assert watch.verdict()["light"] == "green"
        yield watch
    finally:
        watch.stop()


def test_a_save_by_rename_gets_a_verdict(watch: Watch):
    """Editors write a new file and rename it."""
    watch.save(RED)

    verdict = watch.verdict()
    ms, red_ms = verdict.pop("ms"), verdict.pop("first_red_ms")
    assert verdict == {
        "kata": ONE,
        "light": "red",
        "passed": 1,
        "failed": 1,
        "first_red": FIRST_RED,
    }
    assert 0 <= red_ms <= ms


def test_the_kata_that_is_saved_runs(watch: Watch):
    """Not only the one that the watch has begun with."""
    watch.save(RED, TWO)
    assert (watch.verdict()["kata"], watch.is_silent()) == (TWO, True)

    watch.save(GREEN, TWO)
    assert watch.verdict()["light"] == "green"


def test_a_file_is_deleted_and_restored(watch: Watch):
    """As `git stash` and `git stash pop` do."""
    app_of(watch.root).unlink()
    assert watch.until("grey")

    watch.save(GREEN)
    assert watch.until("green")


def test_a_half_written_file_is_not_the_last_word(watch: Watch):
    """A slow editor or a slow disk."""
    with app_of(watch.root).open("w", encoding="utf-8") as app:
        app.write(RED[: len(RED) // 2])
        app.flush()
        time.sleep(0.05)
        app.write(RED[len(RED) // 2 :])

    assert watch.until("red")["first_red"] == FIRST_RED


def test_an_endless_loop_is_cut_and_the_watch_goes_on(watch: Watch):
    """It is a mistake that everybody makes one day."""
    if "--no-fork" in watch.options:
        pytest.skip("the same limit in both")
    watch.save(ENDLESS)
    assert watch.verdict()["light"] == "red"

    watch.save(GREEN)
    assert watch.until("green")


def test_the_newest_save_wins(watch: Watch):
    """The run of the older one is killed, and says nothing any more."""
    watch.save(ENDLESS)
    time.sleep(0.4)
    watch.save(GREEN)

    assert watch.verdict()["light"] == "green"
    assert watch.is_silent()


def test_a_solution_that_ends_the_process_is_red(watch: Watch):
    """The next run has a process again."""
    watch.save(STOPS)
    assert watch.verdict()["light"] == "red"

    watch.save(GREEN)
    assert watch.verdict()["light"] == "green"


def test_runs_are_noted(watch: Watch):
    """`dojo status` shows what was watched; the last run is noted after its verdict."""
    watch.save(RED)
    watch.until("red")
    watch.save(GREEN)
    watch.until("green")

    assert "red" in [run.light for run in progress.read(watch.root)][-2:]


def test_changed_specs_are_collected_again(watch: Watch):
    """Somebody who writes a kata watches, too, and saves what cannot be read."""
    if "--no-fork" in watch.options:
        pytest.skip("the same in both")
    spec = watch.root / "tests" / f"test_{ONE}.py"
    before = spec.read_text(encoding="utf-8")
    spec.write_text("def (", encoding="utf-8")
    assert watch.until("amber")

    spec.write_text(f"{before}\n\ndef test_more():\n    assert False\n", encoding="utf-8")
    watch.until_specs(3)
    # The tests behind this one find the project as it was.
    spec.write_text(before, encoding="utf-8")
    watch.until_specs(2)


def test_a_hanging_interpreter_is_killed(tmp_path: Path):
    """No time limit inside a process ends a regular expression that takes for ever."""
    pytest.importorskip("fcntl")
    root, scratch = make(tmp_path), tmp_path / "scratch"
    scratch.mkdir()
    app_of(root).write_text(
        GREEN.replace('log.write("called\\n")', 'import re; re.match("(a|a)*b", "a" * 60)'),
        encoding="utf-8",
    )
    code = (
        "import sys\nfrom dojo.watch import limits\nlimits.SECONDS = 2\n"
        "from dojo.watch import warm\nsys.exit(warm.main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, root, scratch, root, "fork"],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as warm:
        assert warm.stdin is not None
        assert warm.stdout is not None
        assert "ready" in warm.stdout.readline()
        warm.stdin.write(json.dumps({"run": 1, "katas": [ONE]}) + "\n")
        warm.stdin.flush()
        told = [json.loads(warm.stdout.readline()) for _ in range(3)]
        warm.stdin.close()
        warm.wait(60)

    messages = [message["failure"]["message"] for message in told if message.get("failure")]
    assert messages
    assert "was killed" in messages[0]
    assert told[-1] == {"run": 1, "kata": ONE, "ended": True}
    assert not scratch.exists()


# ----- where the system does not tell


def no_events(_self: Saves) -> Iterator[set[object]]:
    """What comes from a network drive: nothing."""
    while True:
        time.sleep(0.01)
        yield set()


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleQueue[Event]]:
    """The events of a project in a place where files change and nobody tells."""
    monkeypatch.setattr(saves, "LOOK", 0.01)
    monkeypatch.setattr(Saves, "_watcher", no_events)
    root = make(tmp_path)
    events: SimpleQueue[Event] = SimpleQueue()
    thread = Saves(root, {name: app_of(root, name) for name in (ONE, TWO)}, events, poll=False)
    thread.start()
    yield events
    thread.stop()
    thread.join()


def test_a_place_without_events_is_noticed(told: SimpleQueue[Event], tmp_path: Path):
    """Network drives, and Windows' files seen from WSL."""
    found: list[Event] = []
    for content in (RED, GREEN):
        app_of(tmp_path).write_text(f"{content}\n", encoding="utf-8")
        while not found or not isinstance(found[-1], Saved):
            found.append(told.get(timeout=PATIENCE))
        saved = found.pop()
        assert isinstance(saved, Saved)
        assert saved.katas == (ONE,)

    (notice,) = found
    assert isinstance(notice, Noticed)
    assert "--poll" in notice.text


def test_what_is_only_touched_is_told_once(told: SimpleQueue[Event], tmp_path: Path):
    """One save, one run."""
    for name in (ONE, TWO):
        app_of(tmp_path, name).write_text(RED, encoding="utf-8")
    found: set[str] = set()
    while found != {ONE, TWO}:
        event = told.get(timeout=PATIENCE)
        found |= set(event.katas) if isinstance(event, Saved) else set()

    assert told.empty()


PATIENCE = 30

"""A checkout that has joined a session: its lights get there, and no run waits for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dojo import cli
from dojo.progress import Run
from dojo.session import after_run, joined, sender
from dojo.session.settings import Settings
from selfcheck.projects import CALLED, KATA, RIGHT, Project
from selfcheck.session.rooms import K01, K03, Evening, served

NOWHERE = "http://127.0.0.1:9"  # the port of "discard", where nobody listens


def run(kata: str = K01, light: str = "red", passed: int = 1, total: int = 9) -> Run:
    return Run("2026-11-27T10:00:00+00:00", kata, light, passed, total - passed, total, 0.5, "")  # type: ignore[arg-type]


@pytest.fixture
def evening(tmp_path: Path) -> Evening:
    """A session, in a folder of its own."""
    (tmp_path / "server").mkdir()
    return Evening(tmp_path / "server")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a learner; what is to be sent waits there, and no process is started."""
    root = tmp_path / "checkout"
    (root / "katas" / K01).mkdir(parents=True)
    (root / "katas" / K01 / "kata.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(root)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("DOJO_PROGRESS", raising=False)
    monkeypatch.setattr(after_run, "start_sender", lambda root: None)
    return root


def join(evening: Evening, checkout: Path, address: str = NOWHERE, team: str = "Tea") -> None:
    """Join without the network."""
    joined.write(checkout, joined.Joined(address, team, evening.team(team), "ABCD"))


def lights(evening: Evening, team: int = 1) -> list[tuple[str, str, int]]:
    found = evening.room.teams[team].lights
    return [(light.kata, light.light, light.passed) for light in found]


def outbox(root: Path) -> list[dict[str, Any]]:
    return [light for file in joined.waiting(root) for light in joined.contents(file, 0.0)]


# ----- the whole way


def test_a_run_of_pytest_shows_its_light(evening, project: Project, monkeypatch):
    """From `dojo join` to the page; and the sender is a process that ends by itself."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("DOJO_PROGRESS", raising=False)
    project.add(KATA, CALLED)
    monkeypatch.chdir(project.path)
    arrived = threading_event_on(evening)
    with served(evening) as address:
        arguments = ["join", address.removeprefix("http://"), evening.row.code, "--team", "Tea"]
        assert cli.main(arguments) == 0
        project.run()
        assert arrived(lambda: len(lights(evening)) == 1)
        project.answer(RIGHT, project.path / "katas" / KATA)
        project.run()
        assert arrived(lambda: len(lights(evening)) == 2)
        assert cli.main(["leave"]) == 0

    assert [light for _, light, _ in lights(evening)] == ["red", "green"]
    assert [passed < 9 for _, _, passed in lights(evening)] == [True, False]
    assert joined.read(project.path) is None


def threading_event_on(evening: Evening) -> Callable[[Callable[[], bool]], bool]:
    """Waits until something is true, and looks whenever the session has changed."""
    import threading

    changed = threading.Event()
    touched = evening.room.touched

    def touch(parts: Any) -> None:
        touched(parts)
        changed.set()

    evening.room.touched = touch

    def wait(is_so: Callable[[], bool]) -> bool:
        while not is_so():
            changed.clear()
            if not is_so() and not changed.wait(60):
                return False
        return True

    return wait


def test_a_server_that_is_down_is_tried_again_by_one_process(evening, checkout):
    """Until the checkout has left: nothing stays behind."""
    join(evening, checkout)
    joined.put(checkout, [after_light()], 0.0)
    command = [sys.executable, "-m", "dojo.session.sender", str(checkout)]
    first = subprocess.Popen(command, cwd=after_run.TOOL)
    try:
        while not (checkout / ".dojo" / sender.SIGN).exists():
            with pytest.raises(subprocess.TimeoutExpired):  # it has not given up
                first.wait(0.1)
        second = subprocess.run(command, cwd=after_run.TOOL, timeout=60, check=True)
        joined.forget(checkout)
        assert (first.wait(60), second.returncode) == (0, 0)
    finally:
        first.kill()


def after_light(**more: Any) -> dict[str, Any]:
    known = {"id": "run-00001", "kata": K01, "light": "red", "passed": 1, "total": 9}
    return {**known, "seconds": 0.5, **more}


# ----- what is sent, and when


def test_lights_of_a_time_without_a_server_are_sent_later(evening, checkout):
    join(evening, checkout)
    for passed in range(3):
        after_run.run_ended(checkout, [run(passed=passed)])
    assert (sender.deliver(checkout), len(outbox(checkout))) == ("later", 3)
    with served(evening) as address:
        token = joined.read(checkout).token  # type: ignore[union-attr]
        joined.write(checkout, joined.Joined(address, "Tea", token, ""))
        assert sender.deliver(checkout) == "sent"
        assert sender.deliver(checkout) == "sent"

    assert lights(evening) == [(K01, "red", 0), (K01, "red", 1), (K01, "red", 2)]
    assert outbox(checkout) == []


def test_what_the_server_could_not_store_is_kept(evening, checkout, monkeypatch):
    with served(evening) as address:
        join(evening, checkout, address)
        after_run.run_ended(checkout, [run()])
        with monkeypatch.context() as patched:
            patched.setattr(evening.room, "save", lambda: False)
            assert sender.deliver(checkout) == "later"
        assert len(outbox(checkout)) == 1
        assert sender.deliver(checkout) == "sent"

    assert lights(evening) == [(K01, "red", 1)]


def test_a_light_that_no_server_takes_does_not_stop_the_others(evening, checkout):
    with served(evening) as address:
        join(evening, checkout, address)
        joined.put(checkout, [after_light(id="a-good-one")], 1.0)
        joined.put(checkout, [after_light(kata="no kata at all")], 2.0)
        damaged = joined.waiting(checkout)[0].with_name("000000000003000-x.json")
        damaged.write_text("{", encoding="utf-8")
        joined.put(checkout, [after_light(id="another-one", light="green")], 4.0)
        assert sender.deliver(checkout) == "sent"

    assert [light for _, light, _ in lights(evening)] == ["red", "green"]
    assert joined.waiting(checkout) == []


def test_a_light_says_nothing_of_the_code(evening, checkout):
    join(evening, checkout)
    after_run.run_ended(checkout, [run()])

    (light,) = outbox(checkout)
    assert set(light) == {
        "id", "kata", "light", "passed", "total", "seconds", "went_back", "ago",
    }  # fmt: skip


@pytest.mark.parametrize("variables", [{"CI": "true"}, {"DOJO_PROGRESS": "0"}])
def test_nothing_is_sent_where_nothing_is_noted(evening, checkout, monkeypatch, variables):
    join(evening, checkout)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    after_run.run_ended(checkout, [run()])

    assert outbox(checkout) == []


def test_a_checkout_that_has_not_joined_is_left_alone(checkout):
    after_run.run_ended(checkout, [run()])

    assert not (checkout / ".dojo").exists()


def test_of_all_katas_the_one_at_hand_is_sent_and_what_has_changed(evening, checkout):
    """A plain `pytest` runs all katas, and most of them are not begun."""
    join(evening, checkout)
    for kata, at in ((K01, 100), (K03, 200)):
        (checkout / "katas" / kata).mkdir(exist_ok=True)
        (checkout / "katas" / kata / "app.py").touch()
        os.utime(checkout / "katas" / kata / "app.py", (at, at))
    green, red, grey = run(K01, "green", 9), run(K03), run("k05_access_log", "grey", 0)

    sent = [
        [one.kata for one in after_run.worth_sending(checkout, runs)]
        for runs in ([red, green, grey], [green, red, grey], [grey], [green, grey])
    ]
    assert sent == [[K01, K03], [K03], ["k05_access_log"], [K01]]


def test_some_green_specs_are_no_green_kata():
    assert after_run.light_of(run(light="green", passed=9)) == "green"
    assert after_run.light_of(Run("", K01, "green", 3, 0, 9, 0.1, "")) == "part"


def test_a_prediction_is_for_one_run(evening, checkout, capsys):
    join(evening, checkout)
    assert cli.main(["predict", "green"]) == 0
    after_run.run_ended(checkout, [run()])
    after_run.run_ended(checkout, [run()])

    assert [light.get("predicted") for light in outbox(checkout)] == ["green", None]


def test_a_run_is_not_failed_by_a_folder_that_cannot_be_written(evening, checkout, capsys):
    from dojo.plugin import listeners

    join(evening, checkout)
    (checkout / ".dojo" / "outbox").write_text("not a folder", encoding="utf-8")
    listeners.run_ended(checkout, [run()])

    assert "after_run failed" in capsys.readouterr().err


def test_the_outbox_does_not_grow_without_end(evening, checkout, monkeypatch):
    monkeypatch.setattr(joined, "MOST_WAITING", 5)
    join(evening, checkout)
    for passed in range(8):
        joined.put(checkout, [after_light(passed=passed)], float(passed))

    assert len(joined.waiting(checkout)) == 5
    assert [light["passed"] for light in outbox(checkout)] == [3, 4, 5, 6, 7]


def test_rituals_that_begin_in_the_middle_reach_the_checkout(evening, checkout):
    with served(evening) as address:
        join(evening, checkout, address)
        evening.room.act("baby steps", "4")
        after_run.run_ended(checkout, [run()])
        assert joined.rituals(checkout) == joined.Rituals()
        sender.deliver(checkout)

    assert joined.rituals(checkout) == joined.Rituals(4.0, False)
    joined.forget(checkout)
    assert joined.rituals(checkout) == joined.Rituals()


# ----- the commands


def test_joining_says_what_is_wrong(evening, checkout, capsys):
    """In a line, with what to do; and nothing is changed."""
    with served(evening) as address:
        for code, arguments, said in (
            (2, [address, "WRONG2", "--team", "Tea"], "the code is wrong"),
            (2, [address, evening.row.code, "--team", "x" * 300], "300 characters"),
            (2, [address, evening.row.code, "--team", "bell\a"], "cannot be shown"),
            (2, ["ftp://nowhere", "ABCDEF", "--team", "Tea"], "not an address"),
            (2, ["127.0.0.1:port", "ABCDEF", "--team", "Tea"], "not an address"),
            (3, [NOWHERE, "ABCDEF", "--team", "Tea"], "cannot be reached"),
        ):
            assert cli.main(["join", *arguments]) == code
            written = capsys.readouterr()
            assert said in written.err
            assert "Traceback" not in written.err + written.out

    assert joined.read(checkout) is None
    assert cli.main(["leave"]) == 2
    assert cli.main(["predict", "red"]) == 2


def test_joining_again_is_the_same_team(evening, checkout, capsys):
    arguments = [evening.row.code, "--team", "Tea"]
    with served(evening) as address:
        assert cli.main(["join", address, *arguments]) == 0
        first = joined.read(checkout)
        assert cli.main(["join", address, *arguments]) == 0

    assert joined.read(checkout) == first
    assert len(evening.room.teams) == 1


def test_what_waits_for_another_session_is_not_sent_to_this_one(evening, checkout, capsys):
    joined.write(checkout, joined.Joined(NOWHERE, "Old", "old-token", ""))
    joined.put(checkout, [after_light()], 1.0)
    with served(evening) as address:
        cli.main(["join", address, evening.row.code, "--team", "Tea"])
        sender.deliver(checkout)

    assert "1 runs for" in capsys.readouterr().out
    assert lights(evening) == []


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("192.168.1.5:8700", "http://192.168.1.5:8700"),
        ("192.168.1.5", "http://192.168.1.5:8700"),
        ("http://ada.local:80/", "http://ada.local:80"),
        ("[::1]", "http://[::1]:8700"),
        ("https://dojo.example", "https://dojo.example"),
    ],
)
def test_addresses(typed, url):
    from dojo.session.join import url_of

    assert url_of(typed) == url


def test_a_damaged_note_is_as_none(checkout):
    (checkout / ".dojo").mkdir()
    for content in ("", "[]", "{", json.dumps({"address": 1}), "[" * 5000):
        (checkout / ".dojo" / joined.FILE).write_text(content, encoding="utf-8")
        assert joined.read(checkout) is None
        after_run.run_ended(checkout, [run()])


def test_the_settings_are_those_of_the_session(tmp_path, checkout, capsys):
    (tmp_path / "other").mkdir()
    evening = Evening(tmp_path / "other", Settings((K01,), baby_steps=3, one_spec=True))
    with served(evening) as address:
        cli.main(["join", address, evening.row.code, "--team", "Tea"])

    assert joined.rituals(checkout) == joined.Rituals(3.0, True)
    assert "3 minutes" in capsys.readouterr().out

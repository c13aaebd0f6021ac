"""The commands that show something: where the learner is, hints, cards, the reference."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest

from dojo.cli import main as dojo
from dojo.commands import checkout as checkouts
from dojo.commands.standing import ago
from selfcheck.projects import ROOT

pytestmark = pytest.mark.fast
NOTES = "k01_notification_log"
MAIL = "k02_welcome_email"


@pytest.fixture
def reference(checkout, kata):
    """The reference of the second kata, which a class would not have."""
    file = checkout / "solutions" / kata.name / "app.py"
    file.parent.mkdir(parents=True)
    file.write_bytes((ROOT / "solutions" / kata.name / "app.py").read_bytes())
    return file


# ----- where the learner is


def test_at_first_the_first_kata_comes_next(checkout, capsys):
    """With what to read, what to change and what to run."""
    assert dojo(["next"]) == 0
    said = capsys.readouterr().out

    assert said.startswith("k01, One task, after the response")
    for path in ("README.md", "app.py"):
        assert os.path.join("katas", NOTES, path) in said


def test_a_kata_that_was_begun_comes_before_those_that_were_not(kata, ran, capsys):
    """Also where an earlier one is untouched."""
    kata.stub.write_text("# begun")
    ran(MAIL, "red", 3, 13, "the mail leaves only after the response")

    assert dojo(["next"]) == 0
    said = capsys.readouterr().out

    assert said.startswith("k02, ")
    assert "red, 3 of 16 specs green" in said
    assert "first red: the mail leaves only after the response" in said


def test_the_board_shows_the_last_runs_and_runs_nothing(checkout, kata, ran, capsys):
    """What was changed after its run is named."""
    kata.stub.write_text("# begun")
    ran(MAIL, "red", 3, 13)
    os.utime(kata.stub, (2e9, 2e9))
    (checkout / "katas" / NOTES / "app.py").write_text("# done")
    ran(NOTES, "green", 10, 0)

    assert dojo(["status"]) == 0
    said = capsys.readouterr().out
    first, second, third, *_, last = said.splitlines()

    assert first.split()[:2] == ["●", "green"]
    assert first.rstrip().endswith("10 of 10  just now")
    assert second.split()[:3] == ["●", "red", "k02"]
    assert second.rstrip().endswith("3 of 16   just now, changed since")
    assert third.split()[:3] == ["●", "grey", "k03"]
    assert last.startswith("1 of 3 katas green.")


def test_a_kata_that_was_reset_is_grey(ran, capsys):
    """Its last run was of another file."""
    ran(NOTES, "green", 10, 0)

    dojo(["status"])
    said = capsys.readouterr().out

    assert said.split()[:3] == ["●", "grey", "k01"]
    assert "0 of 3 katas green" in said


def test_damaged_progress_is_no_reason_to_stop(checkout, capsys):
    """A line that was broken off, as on a full disk."""
    (checkout / ".dojo").mkdir()
    (checkout / ".dojo" / "progress.jsonl").write_bytes(b'{"at": "20\n\xff\n[1]')
    (checkout / ".dojo" / "hints.json").write_bytes(b'{"k02')

    assert dojo(["status"]) == dojo(["hint", "k02"]) == dojo([]) == 0


def test_dojo_alone_says_where_the_learner_is_and_what_there_is_to_do(kata, ran, capsys):
    """In a few lines, with commands that can be copied."""
    kata.stub.write_text("# begun")
    ran(MAIL, "amber", 0, 16)

    assert dojo([]) == 0
    said = capsys.readouterr().out

    assert said.startswith("k02, ")
    assert "0 of 3 katas green." in said
    for command in ("watch k02", "hint k02", "run k02", "compare k02", "reset k02", "status"):
        assert f"  dojo {command} " in said
    assert len(said.splitlines()) < 20


def test_the_time_of_a_run_is_told_in_words():
    """Nobody subtracts dates."""
    now = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
    for passed, words in (
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=59), "59 min ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(days=2, hours=1), "2 days ago"),
        (timedelta(seconds=-5), "just now"),
    ):
        assert ago((now - passed).isoformat(), now) == words
    assert ago("yesterday", now) == ""


# ----- hints and cards


def test_hints_come_one_at_a_time_and_the_last_one_stays(kata, capsys):
    """From a nudge to nearly the solution."""
    for number in (1, 2, 3, 3):
        assert dojo(["hint", "welcome"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert f"hint {number} of 3: {' '.join(kata.hints[number - 1].split())}" in said
        assert ("shows the next one" in said) == (number < 3)


@pytest.mark.parametrize(
    "file", ["katas/k02_welcome_email/app.py", "tests/test_k02_welcome_email.py"]
)
def test_a_file_stands_for_its_kata(kata, file, capsys):
    """An editor knows which file is open."""
    assert dojo(["hint", str(kata.root / file)]) == 0
    assert kata.hints[0][:20] in capsys.readouterr().out


def test_all_hints_are_shown_at_once_where_that_is_asked_for(kata, capsys):
    """For those who teach."""
    assert dojo(["hint", "k02", "--all"]) == 0
    said = " ".join(capsys.readouterr().out.split())

    assert all(" ".join(hint.split()) in said for hint in kata.hints)


def test_a_hint_is_shown_where_it_cannot_be_noted(checkout, capsys):
    """Progress is a comfort."""
    (checkout / ".dojo").write_text("")

    assert dojo(["hint", "k02"]) == 0
    said = capsys.readouterr()

    assert said.out.startswith("hint 1 of 3: ")
    assert "--all shows the others" in said.err


def test_a_card_is_rendered(kata, capsys):
    """Without the signs of Markdown."""
    assert dojo(["card", "2"]) == 0
    said = capsys.readouterr().out

    assert "k02: A task that talks to a mail server" in said
    assert "```" not in said


# ----- the reference


def test_the_reference_is_shown_once_the_kata_is_green(kata, reference, ran, capsys):
    """Not before, and not after a further change."""
    kata.stub.write_text("# mine\n")
    assert dojo(["compare", "k02"]) == 1
    assert "k02 has not run yet" in capsys.readouterr().err

    ran(MAIL, "red", 3, 13)
    assert dojo(["compare", "k02"]) == 1
    assert "k02 was red in the last run" in capsys.readouterr().err

    ran(MAIL, "green", 16, 0)
    assert dojo(["compare", "k02"]) == 0
    said = capsys.readouterr().out
    assert "\n-# mine\n" in said
    assert "\n+import smtplib\n" in said

    os.utime(kata.stub, (2e9, 2e9))
    assert dojo(["compare", "k02"]) == 1
    assert "was changed since it was green" in capsys.readouterr().err


def test_the_reference_is_shown_to_those_who_want_it_spoilt(kata, reference, capsys):
    """Whatever the light."""
    kata.stub.write_bytes(reference.read_bytes())

    assert dojo(["compare", "k02", "--spoil"]) == 0
    assert "are the same, line by line" in capsys.readouterr().out


def test_a_class_has_no_reference(checkout, capsys):
    """It is exported without solutions."""
    assert dojo(["compare", "k02", "--spoil"]) == 2
    assert "there is no reference here" in capsys.readouterr().err


# ----- bad input


@pytest.mark.parametrize("command", ["card", "compare", "hint", "reset", "restore", "run"])
def test_a_kata_that_does_not_exist_is_told_with_the_nearest_names(checkout, command, capsys):
    """In one line, and with the exit code of wrong usage."""
    assert dojo([command, "welcom_mail"]) == 2
    said = capsys.readouterr()

    assert said.out == ""
    assert said.err == (
        f"dojo {command}: there is no kata 'welcom_mail': the nearest is k02_welcome_email\n"
    )


@pytest.mark.parametrize("command", [[], ["status"], ["next"], ["reset", "--all"]])
def test_a_folder_that_is_no_dojo_is_told_with_what_to_do(command, tmp_path, monkeypatch, capsys):
    """Where the tool was installed without its katas."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkouts, "ROOT", tmp_path)

    assert dojo(command) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path} is no dojo" in said
    assert "Change to the folder that you have cloned" in said


# ----- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_shell_can_be_told_how_to_complete(shell, capsys):
    """With the name of the command in it."""
    assert dojo(["completion", shell]) == 0
    assert "dojo" in capsys.readouterr().out


def test_a_shell_is_given_the_names_of_katas(checkout, tmp_path):
    """By what it asks as soon as somebody presses Tab."""
    asked = {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": "dojo hint k0",
        "COMP_POINT": "12",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "completions"),
    }
    subprocess.run(
        [sys.executable, "-c", "import dojo.cli; dojo.cli.main()"],
        env=os.environ | asked | {"PYTHONPATH": str(ROOT)},
        timeout=60,
        check=True,
    )

    names = (tmp_path / "completions").read_text().split()
    assert names == [NOTES, MAIL, "k03_order_checkout"]


def test_the_commands_start_without_what_only_a_server_needs():
    """Each Tab starts Python anew."""
    code = "import sys, dojo.cli; print({'fastapi', 'sqlalchemy', 'uvicorn'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)

    assert done.stdout.strip() == "set()"

"""`dojo reset` and `dojo restore`: nothing that happens on the way loses a learner's work."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

import pytest

from dojo.catalogue import Kata, read_catalogue
from dojo.cli import main as dojo
from dojo.commands import backups
from selfcheck.projects import ROOT

pytestmark = pytest.mark.fast
WORK = "# Zoë's work,\r\nwith both line ends\n\tand no end".encode()


def stored(kata: Kata) -> list[bytes]:
    """The contents of all backups, the newest first."""
    return [backup.read_bytes() for backup in backups.kept(kata)]


def left_over(kata: Kata) -> list[Path]:
    """Files that are neither the learner's nor a backup."""
    known = [*backups.kept(kata), kata.stub]
    return [path for path in kata.root.rglob("*.new") if path not in known]


@pytest.mark.parametrize("name", sorted(read_catalogue(ROOT)))
def test_the_copy_of_each_stub_is_the_stub(name):
    """`dojo reset` gives what a learner began with."""
    kata = read_catalogue(ROOT)[name]

    same = kata.original.is_file() and kata.original.read_bytes() == kata.stub.read_bytes()
    assert same, f"cp katas/{name}/app.py dojo/stubs/{name}.py.txt"


def test_reset_and_restore_give_the_file_back_byte_for_byte(kata, capsys):
    """The learner may change their mind."""
    kata.stub.write_bytes(WORK)

    assert dojo(["reset", "k02"]) == 0
    assert kata.stub.read_bytes() == kata.original.read_bytes()
    (backup,) = backups.kept(kata)
    assert os.path.relpath(backup) in capsys.readouterr().out
    assert dojo(["restore", "k02"]) == 0
    assert kata.stub.read_bytes() == WORK
    assert left_over(kata) == []


def test_a_second_restore_undoes_the_first(kata):
    """What is replaced by a backup is backed up, too."""
    kata.stub.write_bytes(WORK)
    dojo(["reset", "k02"])
    kata.stub.write_bytes(b"# begun anew")

    dojo(["restore", "k02"])
    assert kata.stub.read_bytes() == WORK
    dojo(["restore", "k02"])
    assert kata.stub.read_bytes() == b"# begun anew"


def test_all_katas_are_reset_and_those_that_are_stubs_are_left_alone(checkout, kata, capsys):
    """A term is over."""
    katas = read_catalogue(checkout).values()
    kata.stub.write_bytes(WORK)
    (first, *_) = katas
    first.stub.unlink()

    assert dojo(["reset", "--all"]) == 0
    assert all(each.stub.read_bytes() == each.original.read_bytes() for each in katas)
    assert [stored(each) for each in katas] == [[], [WORK], []]
    assert "k03" not in capsys.readouterr().out
    assert dojo(["reset", "--all"]) == 0
    assert "each app.py is the stub already" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["k02", "--all"]])
def test_reset_wants_one_kata_or_all(checkout, arguments, capsys):
    """`dojo reset` alone is a slip, and no reason to reset anything."""
    assert dojo(["reset", *arguments]) == 2
    assert "name one kata, or say --all" in capsys.readouterr().err


def test_there_is_nothing_to_restore_at_first(checkout, capsys):
    """It says what makes a backup."""
    assert dojo(["restore", "k02"]) == 2
    assert "`dojo reset k02` makes one" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_whatever_line_it_is_killed_at_the_work_is_there(kata):
    """As the file itself or, once that is another one, as a whole backup."""
    new = b"# another file"
    ended = killed = 0
    while not ended:
        kata.stub.write_bytes(WORK)
        for backup in backups.kept(kata):
            backup.unlink()
        killed += 1
        ended = os.waitstatus_to_exitcode(killed_at(killed, kata, new)) == 0

        now = kata.stub.read_bytes()
        assert now == WORK or (now == new and stored(kata) == [WORK]), f"killed at line {killed}"
        assert all(content == WORK for content in stored(kata)), "half a backup looks like one"
    assert killed > 20


def killed_at(number: int, kata: Kata, content: bytes) -> int:
    """The status of a process that is killed at the `number`th line of `backups`, if it has one."""
    process = os.fork()
    if process:
        return os.waitpid(process, 0)[1]
    left = number

    def trace(frame, event, _argument):
        nonlocal left
        if frame.f_code.co_filename != backups.__file__:
            return None
        left -= event == "line"
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    try:
        sys.settrace(trace)
        backups.replace(kata, content)
    finally:
        os._exit(0)


@pytest.mark.parametrize("number", [0, 1], ids=["backup", "stub"])
def test_a_full_disk_changes_nothing(kata, number, monkeypatch, capsys):
    """Neither the backup nor the stub may be put in place by half."""
    kata.stub.write_bytes(WORK)
    calls = []

    def full(descriptor):
        # The names of a folder are not what the disk has no space for.
        if not os.path.isdir(f"/proc/self/fd/{descriptor}"):
            calls.append(descriptor)
            if len(calls) > number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    assert dojo(["reset", "k02"]) == 3
    assert capsys.readouterr().err == f"dojo reset: {os.strerror(errno.ENOSPC)}\n"
    assert kata.stub.read_bytes() == WORK
    assert stored(kata) == [WORK][:number]
    assert left_over(kata) == []


def test_without_a_place_for_backups_nothing_is_reset(checkout, kata, capsys):
    """As in a folder that is read-only; here `.dojo` is a file."""
    kata.stub.write_bytes(WORK)
    (checkout / ".dojo").write_text("")

    assert dojo(["reset", "k02"]) == 3
    assert capsys.readouterr().err.startswith("dojo reset: .dojo: ")
    assert kata.stub.read_bytes() == WORK


def test_what_an_editor_saves_meanwhile_is_backed_up_too(kata, monkeypatch):
    """The file is looked at again before another one takes its place."""
    kata.stub.write_bytes(b"# first")
    saved = iter([WORK])
    monkeypatch.setattr(os, "fsync", lambda _: [kata.stub.write_bytes(text) for text in saved])

    assert dojo(["reset", "k02"]) == 0
    assert kata.stub.read_bytes() == kata.original.read_bytes()
    assert stored(kata) == [WORK, b"# first"]


def test_a_file_keeps_its_permissions_and_a_link_stays_one(kata, tmp_path):
    """Somebody keeps their solutions elsewhere."""
    elsewhere = tmp_path / "mine.py"
    elsewhere.write_bytes(WORK)
    elsewhere.chmod(0o640)
    kata.stub.unlink()
    try:
        kata.stub.symlink_to(elsewhere)
    except OSError:
        pytest.skip("links are not allowed here")

    assert dojo(["reset", "k02"]) == 0
    assert kata.stub.is_symlink()
    assert elsewhere.read_bytes() == kata.original.read_bytes()
    assert os.name != "posix" or elsewhere.stat().st_mode & 0o777 == 0o640

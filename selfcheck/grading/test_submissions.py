"""The files that are read from a submission: its solutions, and nothing that only looks so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dojo.catalogue import read_catalogue
from dojo.grading.submissions import (
    LIMIT,
    Submission,
    SubmissionsNotFoundError,
    gather,
    shard,
    shown,
)
from selfcheck.projects import KATA, ROOT

pytestmark = pytest.mark.fast
KATAS = list(read_catalogue(ROOT).values())
FIRST = KATAS[:1]
posix = pytest.mark.skipif(os.name != "posix", reason="there are no such files here")


def folder(path: Path, content: bytes = b"app = 1\n") -> Path:
    """A submission with a solution of the first kata."""
    (path / KATA).mkdir(parents=True)
    (path / KATA / "app.py").write_bytes(content)
    return path


def file_of(path: Path):
    return Submission("ada", path).files(FIRST)[KATA]


@pytest.mark.parametrize("below", ["", "katas"])
def test_a_solution_is_read_from_a_checkout_and_from_a_tree(tmp_path, below):
    """Students submit either."""
    folder(tmp_path / below)

    file = file_of(tmp_path)

    assert file.source == b"app = 1\n"
    assert file.path == f"{below}/{KATA}/app.py".lstrip("/")


def test_a_file_that_is_not_there_is_missing(tmp_path):
    """Most submissions are incomplete, and that is no error."""
    file = file_of(tmp_path)

    assert (file.source, file.missing, file.refused, file.trouble) == (None, True, "", "")


def link(path: Path) -> None:
    path.symlink_to(ROOT / "solutions" / KATA / "app.py")


def hidden_link(path: Path) -> None:
    path.parent.rmdir()
    path.parent.symlink_to(ROOT / "solutions" / KATA, target_is_directory=True)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 * LIMIT)


@posix
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (link, "is a link"),
        (hidden_link, f"{KATA} is a link"),
        (lambda path: path.mkdir(), "is a folder"),
        (os.mkfifo, "is not a regular file"),
        (huge, "is larger than 1,000,000 bytes"),
    ],
    ids=["link", "folder that is a link", "folder", "fifo", "100 MB"],
)
def test_only_a_small_regular_file_is_read(tmp_path, make, why):
    """A link leads to the solution, a FIFO makes the grader wait for ever."""
    (tmp_path / KATA).mkdir()
    make(tmp_path / KATA / "app.py")

    file = file_of(tmp_path)

    assert file.source is None
    assert why in file.refused


@posix
def test_a_katas_folder_that_is_a_link_is_refused(tmp_path):
    """It would be the easiest way to full points."""
    (tmp_path / "katas").symlink_to(ROOT / "solutions", target_is_directory=True)

    assert "katas is a link" in file_of(tmp_path).refused


def test_a_file_of_just_the_limit_is_read(tmp_path):
    """The documented limit is the exact one."""
    file = file_of(folder(tmp_path, b"#" * LIMIT))

    assert file.source is not None


def test_only_the_declared_files_are_read(tmp_path):
    """A conftest.py beside a solution never reaches the grader's own pytest."""
    folder(tmp_path)
    (tmp_path / "conftest.py").write_text("raise SystemExit")
    (tmp_path / KATA / "helper.py").write_text("")

    assert list(Submission("ada", tmp_path).files(FIRST)) == [KATA]


@pytest.mark.parametrize(
    "place",
    [
        f"sub/katas/{KATA}/app.py",
        f"sub/{KATA}/app.py",
        "sub/k01/app.py",
        "katas/k01/app.py",
        "k01/app.py",
        "k01.py",
        f"sub/{KATA}.py",
    ],
)
def test_a_solution_is_found_however_it_was_packed(tmp_path, place):
    """A zip often has one folder more, and people shorten names."""
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(b"app = 1\n")
    (tmp_path / "__MACOSX" / "k02").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "k02" / "app.py").write_bytes(b"")

    files = Submission("ada", tmp_path).read(KATAS).files

    assert (files[KATA].path, files[KATA].source) == (place, b"app = 1\n")
    assert {name for name, file in files.items() if not file.missing} == {KATA}


@pytest.mark.parametrize("name", [KATA, "k01"])
def test_the_folder_of_a_kata_is_a_submission(tmp_path, name):
    """Its name says which kata the app.py in it solves."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "app.py").write_bytes(b"app = 1\n")

    for path in (tmp_path / name, tmp_path):
        file = gather([path], [])[0].read(KATAS).files[KATA]
        assert file.source == b"app = 1\n"


@pytest.mark.parametrize(
    ("place", "katas"), [("k01/app.py", KATAS), ("k01.py", KATAS), ("ada.py", FIRST)]
)
def test_a_single_file_is_a_submission(tmp_path, place, katas):
    """Its name, its folder, or the only kata that is asked for says what it solves."""
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(b"app = 1\n")

    (found,) = gather([tmp_path / place], [])

    assert found.name == Path(place).name
    assert found.read(katas).files[KATA].source == b"app = 1\n"


def test_a_lone_app_py_solves_the_only_kata(tmp_path):
    """With several katas nobody knows which, and that is said."""
    (tmp_path / "app.py").write_bytes(b"app = 1\n")
    submission = Submission("ada", tmp_path)

    assert submission.read(FIRST).files[KATA].source == b"app = 1\n"
    for found in (submission, gather([tmp_path / "app.py"], [])[0]):
        troubles = {file.trouble for file in found.read(KATAS).files.values()}
        assert len(troubles) == 1
        assert troubles.pop().startswith("nothing found: ")


def test_a_folder_above_wins(tmp_path):
    """A backup that lies beside a solution is not read in its place."""
    folder(tmp_path)
    folder(tmp_path / "backup", b"app = 0\n")

    assert file_of(tmp_path).source == b"app = 1\n"


def test_several_submissions_in_one_are_not_mixed(tmp_path):
    """--each was forgotten: no student gets the solution of another."""
    for name in ("ada", "bob"):
        folder(tmp_path / name)

    file = Submission("all", tmp_path).read(FIRST).files[KATA]

    assert file.source is None
    assert file.trouble.endswith(f"did you mean --each {tmp_path}?")


@posix
def test_a_link_one_level_down_is_not_followed(tmp_path):
    """It would be the easiest way to full points."""
    (tmp_path / "mine").symlink_to(ROOT / "solutions", target_is_directory=True)

    file = Submission("ada", tmp_path).read(FIRST).files[KATA]

    assert file.source is None


def test_a_folder_that_is_given_twice_counts_once(tmp_path):
    """The gradebook has a row for each student."""
    for name in ("ada", "bob"):
        folder(tmp_path / name)

    found = gather([tmp_path / "bob", tmp_path / "ada" / ".." / "bob"], [tmp_path, tmp_path])

    assert [submission.name for submission in found] == ["bob", "ada"]


def test_each_folder_is_a_submission_of_its_own(tmp_path):
    """In the order of their names; files and the folders that tools leave are left out."""
    for name in ("grace", "ada", ".git", ".venv", "__MACOSX"):
        (tmp_path / name).mkdir()
    (tmp_path / "readme.txt").write_text("")

    assert [s.name for s in gather([], [tmp_path])] == ["ada", "grace"]


def test_a_checkout_is_no_folder_of_submissions(tmp_path):
    """Its `tests` and `katas` are not students."""
    folder(tmp_path / "katas")

    with pytest.raises(SubmissionsNotFoundError, match="is a submission itself: leave --each out"):
        gather([], [tmp_path])


@posix
def test_a_submission_that_is_a_link_is_not_followed(tmp_path):
    """This holds for --each; a link that is named on the command line is intended."""
    (tmp_path / "ada").symlink_to(ROOT / "solutions", target_is_directory=True)

    found = gather([], [tmp_path])[0].files(FIRST)[KATA]

    assert found.source is None
    assert "is a link" in found.refused


def test_two_submissions_of_one_name_get_two_names(tmp_path):
    """The gradebook must have a row for both."""
    for group in ("a", "b"):
        (tmp_path / group / "ada").mkdir(parents=True)

    names = [s.name for s in gather([tmp_path / "a" / "ada"], [tmp_path / "b"])]

    assert names[0] == "ada"
    assert len(set(names)) == 2


@pytest.mark.parametrize("name", ["nowhere", "file", "empty"])
def test_a_path_without_submissions_is_an_error(tmp_path, name):
    """Grading nothing is not a success."""
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()

    with pytest.raises(SubmissionsNotFoundError, match=name):
        gather([], [tmp_path / name])


@posix
def test_every_name_can_be_shown(tmp_path):
    """A name goes into reports, logs and spreadsheets: no newline, no endless one, no bytes."""
    for name in (b"new\nline", b"\xff\xfe", b"a" * 250, b"a" * 249 + b"b"):
        os.mkdir(os.fsencode(tmp_path) + b"/" + name)

    names = [s.name for s in gather([], [tmp_path])]

    assert len(set(names)) == 4
    assert all(name.isprintable() and len(name) <= 120 for name in names)
    assert {"new\\nline", "\\xff\\xfe"} <= set(names)
    assert shown("zoë") == "zoë"


def test_shards_share_all_submissions_out(tmp_path):
    """Exactly one machine grades each submission, also when others join the class."""
    everybody = [Submission(f"student{n}", tmp_path) for n in range(200)]
    shards = [shard(everybody, number, 8) for number in range(1, 9)]

    assert sorted(s.name for part in shards for s in part) == sorted(s.name for s in everybody)
    assert min(map(len, shards)) > 5
    assert shard(everybody[:50], 3, 8) == [s for s in shards[2] if s in everybody[:50]]


def test_a_digest_differs_for_different_files(tmp_path):
    """Resuming must not give yesterday's points for today's file."""
    one = Submission("ada", folder(tmp_path / "one")).read(FIRST)
    same = Submission("ada", folder(tmp_path / "same")).read(FIRST)
    other = Submission("ada", folder(tmp_path / "other", b"app = 2\n")).read(FIRST)
    none = Submission("ada", tmp_path).read(FIRST)

    assert one.digest == same.digest
    assert len({one.digest, other.digest, none.digest}) == 3

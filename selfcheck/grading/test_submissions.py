"""What is taken from a submission: its answer files, and nothing that only looks like one."""

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
    """A submission with an answer to the first kata."""
    (path / KATA).mkdir(parents=True)
    (path / KATA / "app.py").write_bytes(content)
    return path


def taken(path: Path):
    return Submission("ada", path).answers(FIRST)[KATA]


@pytest.mark.parametrize("below", ["", "katas"])
def test_an_answer_is_taken_from_a_checkout_and_from_a_tree(tmp_path, below):
    """Both are what people hand in."""
    folder(tmp_path / below)

    answer = taken(tmp_path)

    assert answer.source == b"app = 1\n"
    assert answer.file == f"{below}/{KATA}/app.py".lstrip("/")


def test_what_is_not_handed_in_is_missing(tmp_path):
    """Most submissions are not complete, and that is no offence."""
    answer = taken(tmp_path)

    assert (answer.source, answer.missing, answer.refused, answer.trouble) == (None, True, "", "")


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
def test_what_is_not_a_plain_small_file_is_refused(tmp_path, make, why):
    """A link leads to the solution, a FIFO to a grader that waits for ever."""
    (tmp_path / KATA).mkdir()
    make(tmp_path / KATA / "app.py")

    answer = taken(tmp_path)

    assert answer.source is None
    assert why in answer.refused


@posix
def test_a_katas_folder_that_is_a_link_is_refused(tmp_path):
    """It would be the easiest way to full points."""
    (tmp_path / "katas").symlink_to(ROOT / "solutions", target_is_directory=True)

    assert "katas is a link" in taken(tmp_path).refused


def test_a_file_of_just_the_limit_is_taken(tmp_path):
    """The limit is one that is written down."""
    answer = taken(folder(tmp_path, b"#" * LIMIT))

    assert answer.source is not None


def test_only_the_declared_files_are_taken(tmp_path):
    """A conftest.py beside the answer never reaches the grader's own pytest."""
    folder(tmp_path)
    (tmp_path / "conftest.py").write_text("raise SystemExit")
    (tmp_path / KATA / "helper.py").write_text("")

    assert list(Submission("ada", tmp_path).answers(FIRST)) == [KATA]


def test_each_folder_is_a_submission_of_its_own(tmp_path):
    """In the order of their names, hidden ones and files left out."""
    for name in ("grace", "ada", ".git"):
        (tmp_path / name).mkdir()
    (tmp_path / "readme.txt").write_text("")

    assert [s.name for s in gather([], [tmp_path])] == ["ada", "grace"]


@posix
def test_a_submission_that_is_a_link_is_not_followed(tmp_path):
    """Not one of those in --each: whoever named it on the command line knew where it leads."""
    (tmp_path / "ada").symlink_to(ROOT / "solutions", target_is_directory=True)

    found = gather([], [tmp_path])[0].answers(FIRST)[KATA]

    assert found.source is None
    assert "is a link" in found.refused


def test_two_submissions_of_one_name_keep_apart(tmp_path):
    """The gradebook must have a row for both."""
    for group in ("a", "b"):
        (tmp_path / group / "ada").mkdir(parents=True)

    names = [s.name for s in gather([tmp_path / "a" / "ada"], [tmp_path / "b"])]

    assert names[0] == "ada"
    assert len(set(names)) == 2


@pytest.mark.parametrize("what", ["nowhere", "file", "empty"])
def test_what_holds_no_submissions_is_said(tmp_path, what):
    """Grading nobody is not a success."""
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()

    with pytest.raises(SubmissionsNotFoundError, match=what):
        gather([], [tmp_path / what])


@posix
def test_names_can_be_shown_whatever_they_are(tmp_path):
    """A name goes into reports, logs and spreadsheets: no newline, no endless one, no bytes."""
    for name in (b"new\nline", b"\xff\xfe", b"a" * 250, b"a" * 249 + b"b"):
        os.mkdir(os.fsencode(tmp_path) + b"/" + name)

    names = [s.name for s in gather([], [tmp_path])]

    assert len(set(names)) == 4
    assert all(name.isprintable() and len(name) <= 120 for name in names)
    assert {"new\\nline", "\\xff\\xfe"} <= set(names)
    assert shown("zoë") == "zoë"


def test_shards_share_all_submissions_out(tmp_path):
    """Each is graded by exactly one machine, the same one tomorrow, whoever joins the class."""
    everybody = [Submission(f"student{n}", tmp_path) for n in range(200)]
    shards = [shard(everybody, number, 8) for number in range(1, 9)]

    assert sorted(s.name for part in shards for s in part) == sorted(s.name for s in everybody)
    assert min(map(len, shards)) > 5
    assert shard(everybody[:50], 3, 8) == [s for s in shards[2] if s in everybody[:50]]


def test_a_digest_tells_answers_apart(tmp_path):
    """Resuming must not give yesterday's points for today's answer."""
    one = Submission("ada", folder(tmp_path / "one")).hand_in(FIRST)
    same = Submission("ada", folder(tmp_path / "same")).hand_in(FIRST)
    other = Submission("ada", folder(tmp_path / "other", b"app = 2\n")).hand_in(FIRST)
    none = Submission("ada", tmp_path).hand_in(FIRST)

    assert one.digest == same.digest
    assert len({one.digest, other.digest, none.digest}) == 3

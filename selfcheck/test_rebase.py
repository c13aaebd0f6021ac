"""Diffs of mistakes are brought up to date when their bases change."""

from __future__ import annotations

import difflib
import subprocess
from io import StringIO
from pathlib import Path

import pytest

from dojo.mistakes import patched
from selfcheck import rebase
from selfcheck.diffs import BASE, HEADER, TWO_HUNKS, WHOLE, diff_of
from selfcheck.projects import KATA

pytestmark = pytest.mark.fast


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "core.autocrlf=false")
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a base and its mistake, both committed."""
    folder = tmp_path / "solutions" / KATA
    (folder / "mistakes").mkdir(parents=True)
    (folder / "app.py").write_text(BASE)
    (folder / "mistakes" / "late.diff").write_text(WHOLE)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "Begin")
    return tmp_path


def base_and_diff(checkout: Path) -> tuple[Path, Path]:
    folder = checkout / "solutions" / KATA
    return folder / "app.py", folder / "mistakes" / "late.diff"


def test_a_diff_follows_its_base(checkout: Path, capsys):
    """A change of the base is in the mistake too, and the header stays."""
    base, file = base_and_diff(checkout)
    base.write_text(f"new\n{BASE}".replace("line 10\n", "line ten\nmore\n"))
    assert rebase.main(["--check"], checkout) == 1
    assert "hunk 1 (@@ -1,6 +1,6 @@) does not fit" in capsys.readouterr().err

    assert rebase.main([], checkout) == 0

    assert "1 diffs, 1 written anew, 0 do not apply" in capsys.readouterr().out
    expected = f"new\n{TWO_HUNKS}".replace("line 10\n", "line ten\nmore\n")
    assert patched(file) == expected
    assert file.read_text() == diff_of(base.read_text(), expected)
    assert "@@ -16,7 +16,6 @@" in file.read_text()
    assert rebase.main(["--check"], checkout) == 0


def test_a_diff_follows_its_base_from_an_earlier_revision(checkout: Path):
    """Somebody commits the base and thinks of the diffs later."""
    base, file = base_and_diff(checkout)
    base.write_text(f"new\n{BASE}")
    git(checkout, "commit", "--quiet", "-am", "Change the base")

    assert rebase.main([], checkout) == 1
    assert file.read_text() == WHOLE
    assert rebase.main(["--since", "HEAD~1"], checkout) == 0
    assert patched(file) == f"new\n{TWO_HUNKS}"


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (BASE.replace("line 3\n", "line drei\n"), "its base has changed in the same lines"),
        (TWO_HUNKS, "app.py has the same change now: there is no mistake left"),
        (None, "its base is not there: looked for"),
    ],
)
def test_a_conflict_is_reported_and_the_file_left_alone(checkout: Path, capsys, now, message):
    """No marks of git's in a diff."""
    base, file = base_and_diff(checkout)
    if now is None:
        base.unlink()
    else:
        base.write_text(now)

    assert rebase.main([], checkout) == 1

    out, err = capsys.readouterr()
    assert err.startswith(f"{file}: ")
    assert message in err
    assert "1 diffs, 0 written anew, 1 do not apply" in out
    assert file.read_text() == WHOLE


def test_one_conflict_does_not_keep_others_from_being_rebased(checkout: Path):
    """Each diff stands for itself."""
    base, file = base_and_diff(checkout)
    other = file.with_name("other.diff")
    other.write_text(diff_of(BASE, BASE.replace("line 10\n", "")).replace("late.py", "other.py"))
    base.write_text(f"new\n{BASE}".replace("line 3\n", "line drei\n"))

    assert rebase.main([], checkout) == 1

    assert file.read_text() == WHOLE
    assert patched(other) == base.read_text().replace("line 10\n", "")


def test_only_the_diffs_that_are_named_are_rebased(checkout: Path):
    """Others may be in somebody's hands."""
    base, file = base_and_diff(checkout)
    other = file.with_name("other.diff")
    other.write_text(WHOLE)
    base.write_text(f"new\n{BASE}")

    assert rebase.main([str(other)], checkout) == 0

    assert file.read_text() == WHOLE
    assert patched(other) == f"new\n{TWO_HUNKS}"


def test_a_diff_made_for_the_new_base_stays(checkout: Path):
    """Somebody has resolved a conflict by hand, or made a mistake of a base that is new."""
    base, file = base_and_diff(checkout)
    base.write_text(f"new\n{BASE}".replace("line 3\n", "line drei\n"))
    by_hand = diff_of(base.read_text(), base.read_text().replace("line 17\n", ""))
    file.write_text(by_hand)
    right = base.parent / "right" / "other.py"
    right.parent.mkdir()
    right.write_text(BASE)
    fresh = file.with_name("fresh.diff")
    fresh.write_text(WHOLE.replace("base: app.py", "base: right/other.py"))

    assert rebase.main([], checkout) == 0
    assert file.read_text() == by_hand
    assert patched(fresh) == TWO_HUNKS


def test_nothing_is_written_where_no_base_has_changed(checkout: Path, capsys):
    """Also where a diff was made by another program, with other numbers of context lines."""
    _, file = base_and_diff(checkout)
    lines = difflib.unified_diff([*StringIO(BASE)], [*StringIO(TWO_HUNKS)], "a", "b", n=1)
    file.write_text(HEADER + "".join(lines))
    before = file.read_bytes()

    assert rebase.main([], checkout) == 0
    assert "1 diffs, 0 written anew, 0 do not apply" in capsys.readouterr().out
    assert file.read_bytes() == before


def test_a_revision_that_git_does_not_know_is_wrong_usage(checkout: Path, capsys):
    """And not a base that was not there."""
    assert rebase.main(["--since", "nowhere"], checkout) == 2
    assert "git knows no revision 'nowhere'" in capsys.readouterr().err

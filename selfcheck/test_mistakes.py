"""Mistakes that are kept as diffs: read, and applied to the letter."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from dojo.mistakes import MistakeError, PatchError, patched, read_mistake, read_text
from selfcheck import rebase
from selfcheck.diffs import BASE, HEADER, TWO_HUNKS, WHOLE, Put, diff_of
from selfcheck.projects import ROOT

pytestmark = pytest.mark.fast

# ----- the reader


def test_a_header_says_what_a_mistake_is(put: Put):
    """Prose for people, and lines that the tests of the specs go by."""
    mistake = read_mistake(put(diff_of(BASE, TWO_HUNKS)))

    assert (
        mistake.prose == "The line is written in the endpoint,\nso the client waits for the disk."
    )
    assert (mistake.base, mistake.breaks) == ("app.py", "after the response")
    assert mistake.caught_by == ("test_one", "test_two[a b]")
    assert mistake.says == r"came before: \d"
    assert mistake.header + mistake.diff == diff_of(BASE, TWO_HUNKS)


EMPTY = "--- app.py\n+++ late.py\n@@ -1,2 +1,2 @@\n line 1\n line 2\n"


@pytest.mark.parametrize(
    ("diff", "message"),
    [
        (WHOLE.replace("base: app.py\n", ""), "its header has no line like `base: app.py`"),
        (WHOLE.replace("base: app.py", "base: "), "its header has no line like `base: app.py`"),
        (WHOLE.replace("base: app.py", "base: ../app.py"), "`base: ../app.py` is neither app.py"),
        (WHOLE.replace("base: app.py", "base: right/no.py"), "its base is not there: looked for"),
        (
            WHOLE.replace("breaks:", "base: app.py\nbreaks:"),
            "its header has 2 lines `base:`",
        ),
        (
            WHOLE.replace("caught by:", "caught:"),
            "its header has no line like `caught by: test_name_of_the_spec`",
        ),
        (HEADER, "it has no diff"),
        (f"{HEADER}--- app.py\n+++ late.py\n", "it has no diff"),
        ("", "it has no diff"),
        (HEADER + EMPTY, "its diff is empty"),
        (WHOLE + EMPTY, "the diff is of 2 files"),
        (WHOLE.replace("@@ -1,6", "@@ -1,9"), "this is not a unified diff: "),
        (WHOLE.replace("\n line 2\n", "\nline 2\n"), "this is not a unified diff: "),
        (WHOLE.encode("utf-16"), "it is not UTF-8 text"),
        (b"\xff\x00\x01", "it is not UTF-8 text"),
    ],
)
def test_a_diff_that_cannot_be_used_says_why(put: Put, diff: str | bytes, message: str):
    """The file is named, since several are often read at once."""
    file = put(diff)

    with pytest.raises(MistakeError) as raised:
        patched(file)

    assert str(raised.value).startswith(f"{file}: ")
    assert message in str(raised.value)


def test_a_diff_that_is_not_there_says_so(tmp_path: Path):
    with pytest.raises(MistakeError, match=r"none\.diff: it cannot be read: "):
        read_mistake(tmp_path / "none.diff")


# ----- the applier


@pytest.mark.parametrize(
    "new",
    [
        TWO_HUNKS,
        f"first\n{BASE}",
        f"{BASE}last\n",
        BASE.replace("line 9\n", "line 9\n\nbetween\n"),
        BASE.replace("line 20\n", ""),
        BASE.replace("line 1\n", "", 1),
        BASE.replace("line 10\n", "-- a\n+++ b\n Zoë\u2028\x0cŁukasz\n"),
    ],
)
def test_a_diff_makes_of_its_base_what_it_was_made_of(put: Put, new: str):
    """At the beginning, in the middle and at the end; whatever else may look like a line end."""
    before, after = (text.split("\n")[:-1] for text in (BASE, new))
    diff = "\n".join(difflib.unified_diff(before, after, "app.py", "late.py", lineterm=""))

    assert patched(put(f"{HEADER}{diff}\n")) == new


@pytest.mark.parametrize("old", ["\n", "a\n", "a\nb\n"])
def test_a_hunk_without_context_goes_where_it_says(put: Put, old: str):
    """`diff -U0` names the line that an insertion comes after."""
    new = f"{old}c\n"
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), "a", "b", n=0)

    assert patched(put(HEADER + "".join(lines), old)) == new


@pytest.mark.parametrize("of", ["diff", "base", "both"])
def test_line_ends_of_windows_make_no_difference(put: Put, of: str):
    """git may have written them into one of the two."""
    diff = WHOLE.replace("\n", "\r\n") if of != "base" else WHOLE
    base = BASE.replace("\n", "\r\n") if of != "diff" else BASE

    assert patched(put(diff, base)) == TWO_HUNKS


def test_a_base_without_a_newline_at_its_end_gets_one(put: Put):
    """So do two lines never become one."""
    old, new = BASE.rstrip("\n"), BASE.replace("line 20\n", "line twenty\n")

    assert patched(put(diff_of(BASE, new), old)) == new


@pytest.mark.parametrize(
    ("base", "hunk", "why"),
    [
        (BASE.replace("line 2\n", "line two\n"), 1, "line 2 should be 'line 2' and is 'line two'"),
        (BASE.replace("line 20\n", ""), 2, "line 20 should be 'line 20', and the file ends before"),
        (f"new\n{BASE}", 1, "line 1 should be 'line 1' and is 'new'"),
        (BASE.replace("line 9\n", ""), 2, "line 14 should be 'line 14' and is 'line 15'"),
        (BASE.replace("line 2\n", "line 2 \n"), 1, "line 2 should be 'line 2' and is 'line 2 '"),
        ("", 1, "line 1 should be 'line 1', and the file ends before it"),
    ],
)
def test_a_hunk_that_does_not_fit_is_named_with_its_base(put: Put, base: str, hunk: int, why: str):
    """A diff that is applied somewhere else makes another mistake than the one that is proved."""
    file = put(WHOLE, base)

    with pytest.raises(PatchError) as raised:
        patched(file)

    at = ["@@ -1,6 +1,6 @@", "@@ -14,7 +14,6 @@"][hunk - 1]
    message = str(raised.value)
    assert message.startswith(f"{file}: hunk {hunk} ({at}) does not fit app.py: {why}")
    assert "run `python -m selfcheck.rebase`" in message


def test_hunks_that_overlap_are_refused(put: Put):
    """The second was made for another file than the first leaves."""
    hunk = "@@ -1,2 +1,2 @@\n-line 1\n+one\n line 2\n"

    with pytest.raises(PatchError, match=r"hunk 2 .* does not fit app\.py: it overlaps the hunk"):
        patched(put(f"{HEADER}--- app.py\n+++ late.py\n{hunk}{hunk.replace('one', 'uno')}"))


def test_the_base_is_looked_for_beside_the_diff_and_then_in_the_checkout(put: Put, tmp_path: Path):
    """So a diff can be tried that lies elsewhere."""
    file = put(WHOLE, base=None)
    solutions = tmp_path / "solutions"
    solutions.mkdir()
    (solutions / "app.py").write_text(BASE)
    assert patched(file, solutions) == TWO_HUNKS

    put(WHOLE, BASE.replace("line 10\n", "line ten\n"))
    assert "line ten\n" in patched(file, solutions)


def test_every_mistake_applies_to_its_base():
    """After a change of a base, `python -m selfcheck.rebase` brings its diffs up to date."""
    files = sorted((ROOT / "solutions").glob("*/mistakes/*.diff"))

    assert len(files) > 300
    assert rebase.check(files) == []


def test_a_base_that_is_not_text_is_no_base(put: Put):
    """Its bytes must survive, and a diff of text cannot promise that."""
    file = put(WHOLE)
    base = file.parent.parent / "app.py"
    base.write_bytes("# -*- coding: latin-1 -*-\nname = 'Zoë'\n".encode("latin-1"))

    with pytest.raises(MistakeError, match=r"app\.py: it is not UTF-8 text"):
        read_text(base)
    with pytest.raises(MistakeError, match=r"app\.py: it is not UTF-8 text"):
        patched(file)

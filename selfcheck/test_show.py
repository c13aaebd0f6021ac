"""`dojo show` prints a solution, also one that is kept as a diff."""

from __future__ import annotations

from pathlib import Path

import pytest

from dojo.cli import main as dojo
from selfcheck.diffs import BASE, WHOLE, Put, diff_of
from selfcheck.projects import KATA

pytestmark = pytest.mark.fast


def test_a_diff_is_shown_as_a_whole_module(put: Put, capsysbinary):
    """To the byte, so that it can be redirected."""
    assert dojo(["show", str(put(diff_of(BASE, f"{BASE}Zoë\n")))]) == 0
    assert capsysbinary.readouterr().out == f"{BASE}Zoë\n".encode()


def test_another_file_is_shown_as_it_is(tmp_path: Path, capsysbinary):
    """Whatever its bytes are."""
    file = tmp_path / "app.py"
    file.write_bytes(b"# \xff\r\nx = 1")

    assert dojo(["show", str(file)]) == 0
    assert capsysbinary.readouterr().out == b"# \xff\r\nx = 1"


@pytest.mark.parametrize(
    ("diff", "kata", "message"),
    [
        (WHOLE.replace("base: app.py\n", ""), KATA, "its header has no line like `base: app.py`"),
        (WHOLE.replace(" line 1\n", " line one\n"), KATA, "hunk 1 (@@ -1,6 +1,6 @@) does not fit"),
        (WHOLE, "nothing", "no kata is named by"),
        (None, KATA, "No such file"),
    ],
)
def test_what_cannot_be_shown_is_told_in_a_line(put: Put, capsys, diff, kata: str, message: str):
    """Nothing goes to stdout then."""
    file = put(diff or "", kata=kata)
    if diff is None:
        file.unlink()

    assert dojo(["show", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dojo show: ")
    assert len(err.splitlines()) == 1
    assert message in err

"""Small diffs of mistakes, for the tests of what reads them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from selfcheck.projects import KATA

HEADER = """\
The line is written in the endpoint,
so the client waits for the disk.

base: app.py
breaks: after the response
caught by: test_one
caught by: test_two[a b]
says: came before: \\d

"""
# A form feed, which Python code may hold, is the end of a line to `str.splitlines`, not to diffs.
BASE = "".join(f"line {number}\n" for number in range(1, 21)).replace("line 5", "line\x0c5")


def diff_of(old: str, new: str, header: str = HEADER) -> str:
    lines = difflib.unified_diff([*StringIO(old)], [*StringIO(new)], "app.py", "late.py")
    return header + "".join(lines)


TWO_HUNKS = BASE.replace("line 3\n", "line three\n").replace("line 17\n", "")
WHOLE = diff_of(BASE, TWO_HUNKS)
Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write a base and a diff into a kata's folder of solutions; gives the diff."""

    def put(diff: str | bytes, base: str | None = BASE, kata: str = KATA) -> Path:
        folder = tmp_path / kata
        file = folder / "mistakes" / "late.diff"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(diff if isinstance(diff, bytes) else diff.encode())
        if base is not None:
            (folder / "app.py").write_bytes(base.encode())
        return file

    return put

"""The reference page of the fixtures names all that there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "writing-specs.md").read_text(encoding="utf-8")
FIXTURES = re.findall(
    r"^@pytest(?:_asyncio)?\.fixture\n(?:async )?def (\w+)",
    (ROOT / "dojo" / "plugin" / "fixtures.py").read_text(encoding="utf-8"),
    re.MULTILINE,
)
SPECS = "\n".join(file.read_text(encoding="utf-8") for file in ROOT.glob("tests/test_k*.py"))

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("fixture", FIXTURES)
def test_each_fixture_is_on_the_page(fixture):
    """A contributor looks there first."""
    assert f"`{fixture}" in PAGE


@pytest.mark.parametrize(
    "method",
    sorted(set(re.findall(rf"\b((?:{'|'.join(FIXTURES)})\.[a-z]\w*)", SPECS)) - {"kata.app"}),
)
def test_what_specs_use_of_a_fixture_is_on_the_page(method):
    """Each method that a spec calls, but for the names of a solution's own functions."""
    assert method in PAGE or method.startswith("kata.")


def test_the_fixtures_are_found():
    """The tests above see something."""
    assert {"client", "timeline", "disk", "clock"} <= set(FIXTURES)

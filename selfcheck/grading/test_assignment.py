"""The assignment: the katas that are graded, and those of them that count."""

from __future__ import annotations

import pytest

from dojo.catalogue import CatalogueError
from dojo.grading.assignment import assigned, without_idle
from dojo.grading.results import KataResult, SpecResult, State, SubmissionResult

pytestmark = pytest.mark.fast


def kata(name: str, light: str, state: State = State.GRADED) -> KataResult:
    spec = SpecResult(id=f"tests/test_{name}.py::test_a", title="a", passed=False, points=10)
    return KataResult.model_validate(
        {"kata": name, "title": "t", "light": light, "state": state, "file": "f", "specs": [spec]}
    )


def test_katas_that_are_not_begun_do_not_count():
    """10 of 190 for an assignment of one kata is no grade."""
    all_katas = [kata("k01", "green"), kata("k02", "grey"), kata("k03", "amber")]

    result = without_idle(SubmissionResult(name="ada", katas=all_katas))

    assert [k.kata for k in result.katas] == ["k01", "k03"]
    assert (result.max_score, result.not_begun) == (20, ["k02"])


def test_what_could_not_be_graded_is_not_left_out():
    """A file that could not be read may have been begun."""
    all_katas = [kata("k01", "green"), kata("k02", "grey", State.UNGRADABLE)]

    result = without_idle(SubmissionResult(name="ada", katas=all_katas))

    assert (result.state, result.not_begun) == (State.UNGRADABLE, [])


def test_where_nothing_is_begun_all_count():
    """0 of 0 would be no result."""
    result = SubmissionResult(name="ada", katas=[kata("k01", "grey"), kata("k02", "grey")])

    assert without_idle(result) == result


@pytest.mark.parametrize(
    ("text", "katas"),
    [
        ('[tool.dojo.assignment]\nkatas = ["k01", "k05_access_log"]\n', ["k01", "k05_access_log"]),
        ("[tool.ruff]\n", []),
        (None, []),
    ],
    ids=["named", "not named", "no file"],
)
def test_an_assignment_is_read_from_the_project(tmp_path, text, katas):
    """It is named once, and not on each command line."""
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")

    assert assigned(tmp_path) == katas


@pytest.mark.parametrize("text", ["katas = []", 'katas = "k01"', "katas = [1]", "", "katas ="])
def test_an_assignment_without_katas_is_an_error(tmp_path, text):
    """It must not silently be all of them."""
    (tmp_path / "pyproject.toml").write_text(f"[tool.dojo.assignment]\n{text}\n", encoding="utf-8")

    with pytest.raises(CatalogueError, match=r"^pyproject\.toml: "):
        assigned(tmp_path)

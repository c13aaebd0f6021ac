"""The model of results: sums, states that are never a silent zero, and the JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dojo.grading.results import (
    KataResult,
    Results,
    ResultsFileError,
    SpecResult,
    State,
    SubmissionResult,
    schema,
    spread,
)
from selfcheck.projects import ROOT

pytestmark = pytest.mark.fast
SCHEMA = ROOT / "dojo" / "grading" / "results.schema.json"


def kata(passed: int, of: int = 9, points: int = 10, **more: Any) -> KataResult:
    specs = [
        SpecResult(id=f"tests/test_k01.py::test_{n}", title=f"{n}", passed=n < passed, points=worth)
        for n, worth in enumerate(spread(points, of))
    ]
    given: dict[str, Any] = {
        "kata": "k01",
        "title": "t",
        "light": "red",
        "file": "app.py",
        "specs": specs,
    }
    return KataResult(**(given | more))


@pytest.mark.parametrize(("points", "count"), [(10, 9), (30, 44), (25, 36), (1, 300), (20, 1)])
def test_the_points_of_a_kata_are_spread_over_its_specs(points, count):
    """All specs together are worth exactly the kata, and about the same each."""
    shares = spread(points, count)

    assert round(sum(shares), 9) == points
    assert max(shares) - min(shares) < 0.011


def test_scores_are_sums_to_the_hundredth():
    """0.1 + 0.2 is a score of 0.3."""
    assert [kata(n).score for n in (0, 1, 9)] == [0, 1.11, 10]
    assert SubmissionResult(name="ada", katas=[kata(9), kata(1)]).score == 11.11


def missed(passed: int, of: int = 9, points: int = 10, **more: Any) -> KataResult:
    """A kata whose last spec, the essential one, is red."""
    result = kata(passed, of, points, **more)
    result.specs[-1].essential = True
    return result


def test_without_its_lesson_a_kata_earns_a_quarter_at_most():
    """Nine of ten points for a kata about tasks without a task would be a wrong grade."""
    result = missed(8)

    assert (result.score, result.max_score, result.state) == (2.5, 10, State.GRADED)
    assert result.note == (
        "at most a quarter of the points, because the lesson of the kata is red: 8"
    )


@pytest.mark.parametrize(("passed", "of", "points"), [(8, 9, 10), (40, 44, 30), (7, 9, 15)])
def test_the_points_of_single_specs_add_up_to_the_score(passed, of, points):
    """Some formats sum them up themselves."""
    result = missed(passed, of, points)

    assert round(sum(result.earned.values()), 2) == result.score
    assert result.score == pytest.approx(points / 4, abs=0.01)
    assert min(result.earned[spec.id] for spec in result.specs if spec.passed) > 0


def test_a_quarter_is_a_limit_and_no_gift():
    """Less stays less, and with the lesson learned each spec counts."""
    assert (missed(2).score, missed(2).note) == (2.22, "")
    assert (missed(0).score, missed(0).note) == (0, "")
    whole = missed(9)
    assert (whole.score, whole.note) == (10, "")
    assert (kata(8).score, kata(8).note) == (8.89, "")


@pytest.mark.parametrize(("state", "score"), [(State.TAMPERED, 0), (State.UNGRADABLE, None)])
def test_other_states_have_their_own_reason(state, score):
    """A second one would confuse."""
    result = missed(8, state=state, cause="forged")

    assert (result.score, result.note) == (score, "")


def test_a_tampered_kata_scores_nothing_and_the_others_count():
    """Tampering costs that kata, not the honest ones."""
    result = SubmissionResult(
        name="ada", katas=[kata(9, state=State.TAMPERED, cause="forged"), kata(9)]
    )

    assert (result.state, result.score, result.max_score) == (State.TAMPERED, 10, 20)
    assert result.cause == "k01: forged"


def test_an_ungradable_kata_has_no_score():
    """A 0 would look like the student's score."""
    result = SubmissionResult(
        name="ada", katas=[kata(9), kata(0, state=State.UNGRADABLE, cause="no memory")]
    )

    assert (result.state, result.score, result.percent) == (State.UNGRADABLE, None, None)


def test_the_schema_that_is_shipped_is_the_model():
    """`python -m dojo.grading.results` writes it again."""
    shipped = json.loads(SCHEMA.read_text(encoding="utf-8"))

    assert shipped == schema()
    Draft202012Validator.check_schema(shipped)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_written_results_can_be_read_again(tmp_path, count):
    """They follow the schema, and `--merge` depends on them."""
    results = Results(
        submissions=[SubmissionResult(name=f"{n}", katas=[kata(n)]) for n in range(count)]
    )
    file = tmp_path / "results.json"
    file.write_text(results.text(), encoding="utf-8")

    assert Results.read(file) == results
    Draft202012Validator(schema()).validate(json.loads(results.text()))
    assert json.loads(results.text()) == results.model_dump(mode="json")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": 2}', '{"submissions": [{}]}', "\xff"])
def test_a_file_without_results_is_an_error(tmp_path, text):
    """The message is one line and names the file."""
    file = tmp_path / "results.json"
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(ResultsFileError, match=r"results\.json: .+"):
        Results.read(file)


def test_a_missing_results_file_is_an_error(tmp_path):
    """The message names the reason."""
    with pytest.raises(ResultsFileError, match="No such file"):
        Results.read(Path(tmp_path / "none.json"))

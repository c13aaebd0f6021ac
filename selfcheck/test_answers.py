"""The specs are specified: red on stubs, green on right answers, red where a wrong one says."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from dojo.catalogue import Kata, read_catalogue
from dojo.trial import Trial

ROOT = Path(__file__).parent.parent
KATAS = read_catalogue(ROOT)
SOLUTIONS = ROOT / "solutions"


@dataclass(frozen=True)
class Mistake:
    """What the docstring of a wrong answer says."""

    caught_by: str
    says: str


def mistake(file: Path) -> Mistake:
    doc = ast.get_docstring(ast.parse(file.read_bytes())) or ""
    entries = dict(re.findall(r"^(caught by|says): (.+)$", doc, re.MULTILINE))
    assert set(entries) == {"caught by", "says"}, (
        f"{file.name}: the docstring must say `caught by: <spec>` and `says: <regular expression>`"
    )
    return Mistake(entries["caught by"], entries["says"])


def answers(kind: str) -> list[object]:
    return [
        pytest.param(kata, file, id=f"{kata.number}-{file.stem}")
        for kata in KATAS.values()
        for file in sorted((SOLUTIONS / kata.name / kind).glob("*.py"))
    ]


def katas() -> list[object]:
    return [pytest.param(kata, id=kata.number) for kata in KATAS.values()]


@pytest.mark.parametrize("kata", katas())
def test_every_spec_is_red_on_the_stub(kata: Kata, trial_of):
    """No free points."""
    trial: Trial = trial_of(kata, kata.stub)

    assert trial.trouble == ""
    assert {name.partition("[")[0] for name in trial.specs} == set(kata.spec_names)
    assert sorted(trial.red) == sorted(trial.specs)
    assert {found.light for found in trial.red.values()} == {"grey"}, "a stub is not started"


@pytest.mark.parametrize("kata", katas())
def test_the_reference_answer_is_green(kata: Kata, trial_of):
    """Whoever looks at the solution must see one."""
    trial: Trial = trial_of(kata, SOLUTIONS / kata.name / "app.py")

    assert (trial.trouble, said(trial)) == ("", {})
    assert trial.green


@pytest.mark.parametrize(("kata", "file"), answers("right"))
def test_a_right_answer_is_green(kata: Kata, file: Path, trial_of):
    """A spec that refuses a right answer is as bad as one that passes a wrong one."""
    trial: Trial = trial_of(kata, file)

    assert (trial.trouble, said(trial)) == ("", {})
    assert trial.green


@pytest.mark.parametrize(("kata", "file"), answers("wrong"))
def test_a_wrong_answer_is_red_where_it_says(kata: Kata, file: Path, trial_of):
    """The spec that is there for a mistake catches it, by an assertion that teaches."""
    expected = mistake(file)
    trial: Trial = trial_of(kata, file)

    assert trial.trouble == ""
    assert expected.caught_by in trial.specs, "the docstring names a spec that there is"
    assert expected.caught_by in trial.red, f"it is caught by {sorted(trial.red)}"
    found = trial.red[expected.caught_by]
    assert found.asserted, f"an assertion must catch it, not a crash: {found.message}"
    assert re.search(expected.says, found.text()), found.text()


@pytest.mark.parametrize("kata", katas())
def test_every_spec_is_failed_by_a_wrong_answer(kata: Kata, trial_of):
    """A spec earns its place."""
    wrong = sorted((SOLUTIONS / kata.name / "wrong").glob("*.py"))
    failed = {
        name for file in wrong for name, found in trial_of(kata, file).red.items() if found.asserted
    }

    assert len(wrong) >= 8
    assert sorted(set(trial_of(kata, kata.stub).specs) - failed) == []


@pytest.mark.parametrize("kata", katas())
def test_there_are_other_right_answers(kata: Kata):
    """There is more than one way."""
    assert len(list((SOLUTIONS / kata.name / "right").glob("*.py"))) >= 3


def said(trial: Trial) -> dict[str, str]:
    return {name: found.text() for name, found in trial.red.items()}

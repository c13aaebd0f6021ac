"""The specs are specified: red on stubs, green on right answers, red where a wrong one says."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from dojo.catalogue import Kata, read_catalogue
from selfcheck.trial import Trial

ROOT = Path(__file__).parent.parent
KATAS = read_catalogue(ROOT)
SOLUTIONS = ROOT / "solutions"


@dataclass(frozen=True)
class Mistake:
    """What a wrong answer's docstring says: which specs catch it, the first in which words."""

    caught_by: tuple[str, ...]
    says: str


def mistake(file: Path) -> Mistake:
    doc = ast.get_docstring(ast.parse(file.read_bytes())) or ""
    caught_by = re.findall(r"^caught by: (.+)$", doc, re.MULTILINE)
    says = re.findall(r"^says: (.+)$", doc, re.MULTILINE)
    assert caught_by, f"{file.name}: the docstring must say `caught by: <spec>`"
    assert len(says) == 1, f"{file.name}: the docstring must say `says: <regular expression>`, once"
    return Mistake(tuple(caught_by), says[0])


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
    trial: Trial = trial_of(kata, file, expected.caught_by)

    assert trial.trouble == ""
    assert sorted(trial.red) == sorted(expected.caught_by), "each spec that is named catches it"
    crashed = [name for name, found in trial.red.items() if not found.asserted]
    assert crashed == [], f"an assertion must catch it, not a crash: {said(trial)}"
    text = trial.red[expected.caught_by[0]].text()
    assert re.search(expected.says, text), text


@pytest.mark.parametrize("kata", katas())
def test_every_spec_is_failed_by_a_wrong_answer(kata: Kata, trial_of):
    """A spec earns its place."""
    wrong = sorted((SOLUTIONS / kata.name / "wrong").glob("*.py"))
    named = {name for file in wrong for name in mistake(file).caught_by}

    assert len(wrong) >= 8
    assert sorted(set(trial_of(kata, kata.stub).specs) - named) == []


@pytest.mark.parametrize("kata", katas())
def test_there_are_other_right_answers(kata: Kata):
    """There is more than one way."""
    assert len(list((SOLUTIONS / kata.name / "right").glob("*.py"))) >= 3


def said(trial: Trial) -> dict[str, str]:
    return {name: found.text() for name, found in trial.red.items()}

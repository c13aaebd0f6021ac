"""The specs are specified: red on stubs, green on right solutions, red where a mistake says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dojo.catalogue import Kata, read_catalogue
from dojo.mistakes import read_mistake
from selfcheck.trial import Trial

ROOT = Path(__file__).parent.parent
KATAS = read_catalogue(ROOT)
SOLUTIONS = ROOT / "solutions"


def solutions(pattern: str) -> list[object]:
    return [
        pytest.param(kata, file, id=f"{kata.number}-{file.stem}")
        for kata in KATAS.values()
        for file in sorted((SOLUTIONS / kata.name).glob(pattern))
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
def test_the_reference_is_green(kata: Kata, trial_of):
    """A reader of the reference must see a solution."""
    trial: Trial = trial_of(kata, SOLUTIONS / kata.name / "app.py")

    assert (trial.trouble, said(trial)) == ("", {})
    assert trial.green


@pytest.mark.parametrize(("kata", "file"), solutions("right/*.py"))
def test_a_right_solution_is_green(kata: Kata, file: Path, trial_of):
    """A spec that refuses a right solution is as bad as one that passes a wrong one."""
    trial: Trial = trial_of(kata, file)

    assert (trial.trouble, said(trial)) == ("", {})
    assert trial.green


@pytest.mark.parametrize(("kata", "file"), solutions("mistakes/*.diff"))
def test_a_mistake_is_red_where_it_says(kata: Kata, file: Path, trial_of):
    """The spec that is there for a mistake catches it, by an assertion that teaches."""
    expected = read_mistake(file)
    assert expected.says, "the header must say `says: <regular expression>`"
    assert expected.breaks, "the header must say `breaks: <sentence of the contract>`"
    trial: Trial = trial_of(kata, file, expected.caught_by)

    assert trial.trouble == ""
    assert sorted(trial.red) == sorted(expected.caught_by), "each spec that is named catches it"
    crashed = [name for name, found in trial.red.items() if not found.asserted]
    assert crashed == [], f"an assertion must catch it, not a crash: {said(trial)}"
    text = trial.red[expected.caught_by[0]].text()
    assert re.search(expected.says, text), text


@pytest.mark.parametrize("kata", katas())
def test_every_spec_is_failed_by_a_mistake(kata: Kata, trial_of):
    """A spec earns its place."""
    mistakes = sorted((SOLUTIONS / kata.name / "mistakes").glob("*.diff"))
    named = {name for file in mistakes for name in read_mistake(file).caught_by}

    assert len(mistakes) >= 8, (
        f"{kata.number} has {len(mistakes)} mistakes and needs 8: add diffs to "
        f"solutions/{kata.name}/mistakes/"
    )
    assert sorted(set(trial_of(kata, kata.stub).specs) - named) == []


@pytest.mark.parametrize("kata", katas())
def test_there_are_other_right_solutions(kata: Kata):
    """There is more than one way."""
    right = list((SOLUTIONS / kata.name / "right").glob("*.py"))
    assert len(right) >= 3, (
        f"{kata.number} has {len(right)} right solutions besides its reference and needs 3: add "
        f"some that differ in kind to solutions/{kata.name}/right/"
    )


def said(trial: Trial) -> dict[str, str]:
    return {name: found.text() for name, found in trial.red.items()}

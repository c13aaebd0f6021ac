"""What was red runs first, and is shown as soon as it is known."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import pytest

from dojo.catalogue import read_catalogue
from dojo.plugin.score import Score
from dojo.watch.state import CALM, State
from dojo.watch.warm import Warm
from selfcheck.projects import KATA, ROOT

pytestmark = pytest.mark.fast

FIRST = read_catalogue(ROOT)[KATA]
ONE, TWO, THREE = (f"tests/test_{KATA}.py::{name}" for name in FIRST.spec_names[:3])


def outcome(
    spec: str, seconds: float, *, passed: bool = True, late: bool = False
) -> dict[str, Any]:
    return {"spec": spec, "passed": passed, "late": late, "seconds": seconds}


def test_red_specs_run_first_and_then_the_longest(tmp_path: Path):
    """Who mends a spec waits for that one; one that did not end is only a long one."""
    warm = Warm(tmp_path, tmp_path, lambda _warm: None)
    warm.items[KATA] = dict.fromkeys(["a", "b", "c", "d", "e"], cast(pytest.Item, None))
    assert warm.order(KATA) == ["a", "b", "c", "d", "e"]

    warm.note(outcome("a", 0.1))
    warm.note(outcome("b", 0.3))
    warm.note(outcome("c", 5.0, passed=False, late=True))
    warm.note(outcome("d", 0.1, passed=False))
    warm.note(outcome("e", 0.2, passed=False))
    assert warm.order(KATA) == ["d", "e", "c", "b", "a"]


@pytest.mark.parametrize(
    ("red_before", "red", "passed", "waited", "is_new"),
    [
        ([], [], [ONE], 0.0, False),
        ([], [TWO], [ONE], 0.0, True),
        ([ONE], [], [TWO], 0.0, False),
        ([ONE], [ONE], [], 0.0, True),
        ([ONE, TWO], [], [ONE], 0.0, True),
        ([ONE, TWO], [], [TWO], 0.0, False),
        ([ONE], [], [], CALM, True),
    ],
)
def test_the_details_of_the_last_run_stay_until_there_is_something_new(
    red_before, red, passed, waited, is_new
):
    """So nothing flickers, and nobody waits for the other specs."""
    before = Score(FIRST)
    before.red = dict.fromkeys(red_before)
    before.passed = {ONE, TWO, THREE} - {*red_before}
    state = State(ROOT, {KATA: FIRST}, FIRST, Score(FIRST), running=True, before=before)
    state.score.red, state.score.passed = dict.fromkeys(red), {*passed}
    state.began = time.perf_counter() - waited

    assert state.seen is (state.score if is_new else before)

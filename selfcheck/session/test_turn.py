"""Turns and the agenda follow from what the facilitator did and the time, and from nothing else."""

from __future__ import annotations

import pytest

from dojo.session.actions import Action, in_force, undoable
from dojo.session.agenda import AGENDAS, parts_for, place_in
from dojo.session.turn import Turn, turn_of

pytestmark = pytest.mark.fast
NAMES = ("Ada", "Grace", "Lin", "Barbara")
LENGTH = 420.0


def after(*done: tuple[float, str], names: tuple[str, ...] = NAMES) -> Turn:
    """The turn after actions, each with its time."""
    actions = [Action(at, *kind.split("=")) for at, kind in done]
    return turn_of(in_force(actions), LENGTH, names)


def test_before_the_first_turn_the_whole_time_is_shown():
    turn = after()

    assert (turn.state(1000), turn.remaining(1000), turn.ends_at) == ("waiting", LENGTH, None)
    assert (turn.driver, turn.navigator, turn.comes_in) == ("Ada", "Grace", "Lin")


def test_a_turn_runs_until_it_is_over():
    turn = after((100, "turn"))

    assert (turn.state(101), turn.remaining(101)) == ("running", 419)
    assert (turn.state(520), turn.remaining(530)) == ("over", -10)
    assert turn.ends_at == 520


def test_the_navigator_drives_next_and_the_names_go_round():
    turns = [after(*[(float(n), "turn")] * n) for n in range(1, 6)]

    assert [turn.driver for turn in turns] == ["Ada", "Grace", "Lin", "Barbara", "Ada"]
    assert [turn.navigator for turn in turns[:4]] == ["Grace", "Lin", "Barbara", "Ada"]


@pytest.mark.parametrize(
    ("names", "navigator", "comes_in"),
    [((), None, None), (("Ada",), None, None), (("Ada", "Grace"), "Grace", None)],
)
def test_few_people_have_fewer_roles(names, navigator, comes_in):
    turn = after((0, "turn"), names=names)

    assert (turn.navigator, turn.comes_in) == (navigator, comes_in)


def test_a_pause_stops_the_clock_for_as_long_as_it_lasts():
    paused = after((0, "turn"), (60, "pause"))
    going = after((0, "turn"), (60, "pause"), (1000, "go on"))

    assert (paused.state(900), paused.remaining(900)) == ("paused", 360)
    assert (going.state(1010), going.remaining(1010)) == ("running", 350)
    assert after((0, "turn"), (60, "pause"), (70, "pause"), (80, "go on")).remaining(80) == 360


def test_another_minute_counts_from_now_when_the_turn_is_over():
    assert after((0, "turn"), (60, "minute")).remaining(60) == 420
    assert after((0, "turn"), (500, "minute")).remaining(500) == 60
    assert after((0, "minute")).remaining(0) == LENGTH


def test_what_is_undone_was_never_done():
    paused = after((0, "turn"), (60, "pause"), (100, "undo"))
    skipped = after((0, "turn"), (60, "turn"), (65, "undo"))

    assert (paused.state(100), paused.remaining(100)) == ("running", 320)
    assert (skipped.driver, skipped.remaining(65)) == ("Ada", 355)
    assert after((0, "turn"), (1, "undo"), (2, "undo")).state(3) == "waiting"


def test_undo_goes_back_step_by_step_and_leaves_what_others_have_seen():
    actions = [Action(0, "turn"), Action(1, "free", "1"), Action(2, "pause"), Action(3, "undo")]
    kept = in_force(actions)

    assert [action.kind for action in kept] == ["turn", "free"]
    assert undoable(kept) == Action(0, "turn")


@pytest.mark.parametrize(
    ("names", "driver"),
    [
        ("Grace\nLin\nBarbara", "Grace"),  # the driver has stayed
        ("Ada\nLin\nBarbara", "Ada"),  # the driver has left: the one before stands for her
        ("Zoe\nYan", "Zoe"),
        ("", None),
    ],
)
def test_people_may_come_and_go_in_the_middle_of_a_turn(names, driver):
    turn = after((0, "turn"), (1, "turn"), (10, f"names={names}"))

    assert (turn.driver, turn.remaining(10)) == (driver, 411)


@pytest.mark.parametrize("minutes", [20, 45, 60, 75, 90, 100, 120, 300])
def test_an_agenda_takes_exactly_its_time(minutes):
    parts = parts_for(minutes)

    assert sum(part.minutes for part in parts) == minutes
    assert all(part.minutes > 0 for part in parts)
    assert parts[-1].title == "Retrospective"


def test_the_agendas_of_the_guide_are_as_they_are_written():
    assert {minutes: parts_for(minutes) for minutes in AGENDAS} == AGENDAS


def test_the_agenda_stops_at_both_ends():
    parts = parts_for(60)
    on = [Action(float(n), "part") for n in range(10)]

    assert place_in([], parts, 5.0) == place_in([Action(9, "back")], parts, 5.0)
    assert place_in(on, parts, 5.0).part == len(parts) - 1
    assert place_in([*on, Action(99, "back")], parts, 5.0).since == 99

"""The time that counts against the limits of a job."""

from __future__ import annotations

import pytest

from dojo.grading.sandbox.stopwatch import AT_MOST, LOADING, Stopwatch

pytestmark = pytest.mark.fast


class Machine:
    """A clock, and the time that a process waited for a processor."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited = 0.0

    def stopwatch(self, seconds: float) -> Stopwatch:
        return Stopwatch(seconds, lambda: self.waited, lambda: self.now)

    def let_pass(self, seconds: float, *, waited: float = 0.0) -> None:
        self.now += seconds
        self.waited += waited


def test_a_busy_machine_takes_no_time_from_a_solution():
    """Ten seconds on the wall, nine of them in the queue for a processor, are one."""
    machine = Machine()
    stopwatch = machine.stopwatch(10)
    machine.let_pass(10, waited=9)

    assert stopwatch.tick(loading=False) == 9
    assert stopwatch.running == 1


def test_a_solution_that_sleeps_uses_its_time():
    """It waits by itself and for no processor."""
    machine = Machine()
    stopwatch = machine.stopwatch(10)
    machine.let_pass(11)

    assert stopwatch.tick(loading=False) <= 0
    assert stopwatch.why() == "the time limit of 10 s for a kata was used up"


def test_loading_has_a_limit_of_its_own():
    """A heavy import, once for each spec, takes no time from what runs; and it is not endless."""
    machine = Machine()
    stopwatch = machine.stopwatch(10)
    machine.let_pass(LOADING * 10 - 1)
    assert stopwatch.tick(loading=True) == 1
    machine.let_pass(0.5)
    assert stopwatch.tick(loading=False) == 1

    machine.let_pass(1)
    assert stopwatch.tick(loading=True) == 0
    assert "20 s for its imports" in stopwatch.why()


def test_waiting_for_a_processor_has_an_end():
    """Threads that only compete with each other would never use up their time."""
    machine = Machine()
    stopwatch = machine.stopwatch(10)
    machine.let_pass(AT_MOST * 10, waited=AT_MOST * 10)

    assert stopwatch.tick(loading=False) <= 0

"""The channel out of a cell: what is believed, and what gives a forger away."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import pytest

from dojo.grading.sandbox.channel import Ours, open_channel, seal
from dojo.grading.sandbox.policy import Limits
from dojo.grading.sandbox.protocol import Job, Said
from dojo.grading.sandbox.runner import to_its_end
from dojo.grading.sandbox.supervisor import Ear, plan
from dojo.plugin.failures import Failure

pytestmark = pytest.mark.fast
KEY = b"k" * 32
SPECS = ["tests/test_k01.py::test_a", "tests/test_k01.py::test_b"]
FOUND = Failure("k01", "a", message="too early").write()


def outcome(spec: str, passed: bool) -> dict[str, Any]:
    found = None if passed else FOUND
    return {"outcome": {"spec": spec, "passed": passed, "failure": found, "seconds": 0.1}}


class Dialogue:
    """An ear, and somebody who speaks into it."""

    def __init__(self, runs: list[tuple[str, bool]]) -> None:
        self.said = Said()
        self.replies: list[bytes] = []
        self.ear = Ear(KEY, self.said, runs, self.replies.append)
        self.number = 0

    def say(self, message: object, *, key: bytes = KEY) -> None:
        text = json.dumps(message).encode()
        self.ear.hear(seal(key, self.number, text) + text + b"\n")
        self.number += 1


RUNS = [(SPECS[0], False), (SPECS[0], True), (SPECS[1], True), (SPECS[1], False)]


def test_a_whole_dialogue_is_understood():
    """Which run counts is the keeper's to know: it is told only at the very end of a spec."""
    dialogue = Dialogue(RUNS)
    dialogue.say({"locked": True})
    for number, (spec, control) in enumerate(RUNS):
        dialogue.say({"reached": number})
        dialogue.say(outcome(spec, not control))
    dialogue.say({"end": True})

    assert dialogue.replies == [b"y", b"n", b"n", b"y"]
    assert (dialogue.ear.done, dialogue.said.broken) == (True, False)
    assert [o["control"] for o in dialogue.said.outcomes] == [False, True, True, False]
    assert all(o["reached"] for o in dialogue.said.outcomes)


@pytest.mark.parametrize(
    "message",
    [
        5,
        [],
        {"outcome": 5},
        {"outcome": {"spec": SPECS[0]}},
        outcome(SPECS[1], True),
        {"outcome": outcome(SPECS[0], True)["outcome"] | {"seconds": -1}},
        {"outcome": outcome(SPECS[0], True)["outcome"] | {"seconds": float("inf")}},
        {"outcome": outcome(SPECS[0], True)["outcome"] | {"control": True}},
        {"reached": 1},
        {"reached": "0"},
        {"evidence": 5},
        {"trouble": "not my fault"},
        {"end": True},
        {"unknown": 1},
    ],
    ids=lambda message: json.dumps(message)[:40],
)
def test_what_cannot_be_said_here_is_not_believed(message):
    """Somebody else than the runner has spoken, and with its voice."""
    dialogue = Dialogue(RUNS)
    dialogue.say({"locked": True})
    dialogue.say(message)

    assert (dialogue.said.broken, dialogue.ear.done) == (True, True)
    assert (dialogue.said.outcomes, dialogue.said.trouble) == ([], "")


def test_a_line_without_the_right_seal_is_not_believed():
    """Nor one that was said before, or whose text was changed on its way."""
    text = json.dumps({"reached": 0}).encode()
    for line in (
        text,
        seal(b"x" * 32, 0, text) + text,
        seal(KEY, 1, text) + text,
        seal(KEY, 0, text) + text.replace(b"0", b"1"),
    ):
        dialogue = Dialogue(RUNS)
        dialogue.ear.hear(line + b"\n")
        assert dialogue.said.broken, line


def test_deep_nesting_breaks_nothing():
    """The keeper must not die of what it hears."""
    dialogue = Dialogue(RUNS)
    text = b"[" * 100_000 + b"]" * 100_000
    dialogue.ear.hear(seal(KEY, 0, text) + text + b"\n")

    assert dialogue.said.broken


@pytest.mark.parametrize(("rest", "broken"), [(b"", False), (b"0123ab", False), (b"{}", True)])
def test_half_a_line_is_an_offence_only_where_it_is_not_ours(rest, broken):
    """A process may end in the middle of a line."""
    dialogue = Dialogue(RUNS)
    dialogue.ear.hear(rest)
    dialogue.ear.hear(b"")

    assert (dialogue.ear.done, dialogue.said.broken) == (True, broken)


def test_each_spec_has_a_run_that_counts_and_one_that_must_fail():
    """In an order that nobody can know."""
    job = Job("k01", "", Limits())
    plans = [plan(SPECS, job) for _ in range(50)]

    for runs in plans:
        assert sorted(runs) == [(spec, control) for spec in SPECS for control in (False, True)]
    assert len({tuple(runs) for runs in plans}) == 4
    assert plan(SPECS, Job("k01", "", Limits(), controls=False)) == [(s, False) for s in SPECS]


class Sandbox:
    """Both ends of a channel, and what a runner would do with it."""

    def __init__(self, replies: bytes) -> None:
        self.reading, writing = os.pipe()
        asked, answering = os.pipe()
        os.write(answering, replies)
        _, self.tell, self.ask = open_channel(writing, asked, KEY, lambda frame: False)

    def run(self, *specs: Callable[[], None]) -> list[bool]:
        """Run these as a runner does, and say for each whether it passed."""
        self.tell({"home": ([(spec, ()) for spec in specs], Ours())})
        passed = []
        for number, spec in enumerate(specs):
            whole = to_its_end(spec, number, self.ask, list, self.tell)
            try:
                whole()
            except AssertionError:
                passed.append(False)
            else:
                passed.append(True)
            self.tell({"outcome": number})
        self.tell({"end": True})
        return passed

    def lines(self) -> list[Any]:
        """What has come out of it, each line with its right seal."""
        lines = os.read(self.reading, 100_000).splitlines()
        for number, line in enumerate(lines):
            assert line[:32] == seal(KEY, number, line[32:])
        return [json.loads(line[32:]) for line in lines]


def fine() -> None:
    """A spec that passes."""


def wrong() -> None:
    """A spec that does not."""
    raise AssertionError


def test_what_is_told_arrives():
    """Emoji and what is no text included."""
    cell = Sandbox(b"")

    cell.tell({"evidence": ["👩‍👩‍👧 \ud800"]})

    assert cell.lines() == [{"evidence": ["👩‍👩‍👧 ?"]}]


def test_a_spec_passes_only_when_the_keeper_says_so():
    """And one that fails by itself has never come to its end."""
    cell = Sandbox(b"yn")

    assert cell.run(fine, fine, wrong) == [True, False, False]
    assert cell.lines() == [
        {"reached": 0},
        {"outcome": 0},
        {"reached": 1},
        {"outcome": 1},
        {"outcome": 2},
        {"end": True},
    ]


class Kind:
    """A class of ours."""

    def method(self) -> None: ...


def test_a_fixture_may_be_a_function_of_ours():
    """Or a method, or one with plain data filled in, or nothing: whatever reads best in a spec."""
    codes = {f.__code__: f.__globals__ for f in (fine, Kind.method)}
    ours = Ours((Kind,), codes)
    forged = FunctionType(fine.__code__, {})

    given = [Kind(), fine, Kind().method, partial(fine, 1, word="a"), partial(fine, Kind()), None]
    assert [ours.holds(value) for value in given] == [True] * len(given)
    given = [
        wrong,
        forged,
        partial(wrong),
        partial(fine, Dialogue),
        Dialogue,
        object(),
        len,
        "text",
    ]
    assert [ours.holds(value) for value in given] == [False] * len(given)


def asks_itself(cell: Sandbox) -> None:
    cell.ask(0)


def tells_by_itself(cell: Sandbox) -> None:
    cell.tell({"home": ([(fine, ())], Ours())})
    (lambda: cell.tell({"outcome": 0}))()


def runs_another_spec(cell: Sandbox) -> None:
    cell.tell({"home": ([(wrong, ())], Ours())})
    to_its_end(fine, 0, cell.ask, list, cell.tell)()


def ends_what_it_has_not_begun(cell: Sandbox) -> None:
    cell.tell({"home": ([(fine, ())], Ours())})
    whole = to_its_end(fine, 0, cell.ask, list, cell.tell)
    whole.__defaults__[2]()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the channel ends its process")
@pytest.mark.parametrize(
    "speak", [asks_itself, tells_by_itself, runs_another_spec, ends_what_it_has_not_begun]
)
def test_nobody_speaks_in_the_place_of_the_runner(speak):
    """It is the frame that counts, which cannot be forged; and then the process is at its end."""
    child = os.fork()
    if child == 0:
        cell = Sandbox(b"yyyy")
        try:
            speak(cell)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 70

"""The channel out of a cell: what is believed, and what gives a forger away."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from dojo.finding import Finding
from dojo.grading.cell import Limits
from dojo.grading.channel import open_channel, seal
from dojo.grading.keeper import Ear, plan
from dojo.grading.wire import Job, Said

KEY = b"k" * 32
SPECS = ["tests/test_k01.py::test_a", "tests/test_k01.py::test_b"]
FOUND = Finding("k01", "a", message="too early").write()


def outcome(spec: str, passed: bool) -> dict[str, Any]:
    found = None if passed else FOUND
    return {"outcome": {"spec": spec, "passed": passed, "finding": found, "seconds": 0.1}}


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


def test_what_is_told_arrives_and_what_is_asked_is_answered():
    """Emoji and what is no text included."""
    reading, writing = os.pipe()
    replies, answering = os.pipe()
    channel, tell, ask = open_channel(writing, replies, KEY, lambda frame: False)
    os.write(answering, b"yn")

    tell({"evidence": ["👩‍👩‍👧 \ud800"]})
    answers = [ask(0), ask(1)]

    lines = os.read(reading, 10_000).splitlines()
    texts = [line[32:] for line in lines]
    assert answers == [True, False]
    assert [json.loads(text) for text in texts] == [
        {"evidence": ["👩‍👩‍👧 ?"]},
        {"reached": 0},
        {"reached": 1},
    ]
    assert [line[:32] for line in lines] == [seal(KEY, n, text) for n, text in enumerate(texts)]
    for descriptor in (reading, writing, replies, answering):
        os.close(descriptor)
    channel.close()

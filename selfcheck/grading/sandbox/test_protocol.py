"""The channel out of a sandbox: which messages are believed, and how forgery is found."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import pytest

from dojo.grading.sandbox.limits import Limits
from dojo.grading.sandbox.listener import Listener, plan
from dojo.grading.sandbox.protocol import Job, JobReport, TrustedValues, open_channel, seal
from dojo.grading.sandbox.runner import wrap_spec
from dojo.plugin.failures import Failure

pytestmark = pytest.mark.fast
KEY = b"k" * 32
SPECS = ["tests/test_k01.py::test_a", "tests/test_k01.py::test_b"]
FOUND = Failure("k01", "a", message="too early").write()


def outcome(spec: str, passed: bool) -> dict[str, Any]:
    found = None if passed else FOUND
    return {"outcome": {"spec": spec, "passed": passed, "failure": found, "seconds": 0.1}}


class Dialogue:
    """A listener, and the messages sent to it."""

    def __init__(self, runs: list[tuple[str, bool]]) -> None:
        self.report = JobReport()
        self.replies: list[bytes] = []
        self.listener = Listener(KEY, self.report, runs, self.replies.append)
        self.number = 0

    def send(self, message: object, *, key: bytes = KEY) -> None:
        text = json.dumps(message).encode()
        self.listener.feed(seal(key, self.number, text) + text + b"\n")
        self.number += 1


RUNS = [(SPECS[0], False), (SPECS[0], True), (SPECS[1], True), (SPECS[1], False)]


def test_a_whole_dialogue_is_understood():
    """Only the supervisor knows which run counts; it replies at the very end of a spec."""
    dialogue = Dialogue(RUNS)
    dialogue.send({"locked": True})
    for number, (spec, control) in enumerate(RUNS):
        dialogue.send({"reached": number})
        dialogue.send(outcome(spec, not control))
    dialogue.send({"end": True})

    assert dialogue.replies == [b"y", b"n", b"n", b"y"]
    assert (dialogue.listener.done, dialogue.report.broken) == (True, False)
    assert [o["control"] for o in dialogue.report.outcomes] == [False, True, True, False]
    assert all(o["reached"] for o in dialogue.report.outcomes)


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
def test_an_impossible_message_is_not_believed(message):
    """Something other than the runner has sent it, with the right seal."""
    dialogue = Dialogue(RUNS)
    dialogue.send({"locked": True})
    dialogue.send(message)

    assert (dialogue.report.broken, dialogue.listener.done) == (True, True)
    assert (dialogue.report.outcomes, dialogue.report.trouble) == ([], "")


def test_a_line_without_the_right_seal_is_not_believed():
    """This includes a repeated line, and one whose text was changed."""
    text = json.dumps({"reached": 0}).encode()
    for line in (
        text,
        seal(b"x" * 32, 0, text) + text,
        seal(KEY, 1, text) + text,
        seal(KEY, 0, text) + text.replace(b"0", b"1"),
    ):
        dialogue = Dialogue(RUNS)
        dialogue.listener.feed(line + b"\n")
        assert dialogue.report.broken, line


def test_deep_nesting_breaks_nothing():
    """A message must not end the supervisor."""
    dialogue = Dialogue(RUNS)
    text = b"[" * 100_000 + b"]" * 100_000
    dialogue.listener.feed(seal(KEY, 0, text) + text + b"\n")

    assert dialogue.report.broken


@pytest.mark.parametrize(("rest", "broken"), [(b"", False), (b"0123ab", False), (b"{}", True)])
def test_half_a_line_is_forged_only_if_it_does_not_begin_with_a_seal(rest, broken):
    """A process may end in the middle of a line."""
    dialogue = Dialogue(RUNS)
    dialogue.listener.feed(rest)
    dialogue.listener.feed(b"")

    assert (dialogue.listener.done, dialogue.report.broken) == (True, broken)


def test_each_spec_has_a_run_that_counts_and_one_that_must_fail():
    """Their order is random."""
    job = Job("k01", "", Limits())
    plans = [plan(SPECS, job) for _ in range(50)]

    for runs in plans:
        assert sorted(runs) == [(spec, control) for spec in SPECS for control in (False, True)]
    assert len({tuple(runs) for runs in plans}) == 4
    assert plan(SPECS, Job("k01", "", Limits(), controls=False)) == [(s, False) for s in SPECS]


class Sandbox:
    """Both ends of a channel, used as a runner uses it."""

    def __init__(self, replies: bytes) -> None:
        self.reading, writing = os.pipe()
        asked, answering = os.pipe()
        os.write(answering, replies)
        _, self.send, self.ask = open_channel(writing, asked, KEY, lambda frame: False)

    def run(self, *specs: Callable[[], None]) -> list[bool]:
        """Run these as a runner does; whether each passed."""
        self.send({"home": ([(spec, ()) for spec in specs], TrustedValues())})
        passed = []
        for number, spec in enumerate(specs):
            whole = wrap_spec(spec, number, self.ask, lambda: None, self.send)
            try:
                whole()
            except AssertionError:
                passed.append(False)
            else:
                passed.append(True)
            self.send({"outcome": number})
        self.send({"end": True})
        return passed

    def lines(self) -> list[Any]:
        """The lines that were sent, each checked for its seal."""
        lines = os.read(self.reading, 100_000).splitlines()
        for number, line in enumerate(lines):
            assert line[:32] == seal(KEY, number, line[32:])
        return [json.loads(line[32:]) for line in lines]


def fine(*_values: object, **_named: object) -> None:
    """A spec that passes."""


def wrong() -> None:
    """A spec that does not."""
    raise AssertionError


def test_a_message_arrives():
    """Emoji and lone surrogates are included."""
    sandbox = Sandbox(b"")

    sandbox.send({"evidence": ["👩‍👩‍👧 \ud800"]})

    assert sandbox.lines() == [{"evidence": ["👩‍👩‍👧 ?"]}]


def test_a_spec_passes_only_when_the_supervisor_agrees():
    """A spec that fails by itself never comes to its end."""
    sandbox = Sandbox(b"yn")

    assert sandbox.run(fine, fine, wrong) == [True, False, False]
    assert sandbox.lines() == [
        {"reached": 0},
        {"outcome": 0},
        {"reached": 1},
        {"outcome": 1},
        {"outcome": 2},
        {"end": True},
    ]


class Kind:
    """A class that is trusted."""

    def method(self) -> None: ...


def test_a_fixture_may_be_a_trusted_function():
    """It may also be a method, a function with plain data filled in, or None."""
    codes = {f.__code__: f.__globals__ for f in (fine, Kind.method)}
    trusted = TrustedValues((Kind,), codes)
    forged = FunctionType(fine.__code__, {})

    given = [Kind(), fine, Kind().method, partial(fine, 1, word="a"), partial(fine, Kind()), None]
    assert [trusted.includes(value) for value in given] == [True] * len(given)
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
    assert [trusted.includes(value) for value in given] == [False] * len(given)


def asks_itself(sandbox: Sandbox) -> None:
    sandbox.ask(0)


def sends_by_itself(sandbox: Sandbox) -> None:
    sandbox.send({"home": ([(fine, ())], TrustedValues())})
    (lambda: sandbox.send({"outcome": 0}))()


def runs_another_spec(sandbox: Sandbox) -> None:
    sandbox.send({"home": ([(wrong, ())], TrustedValues())})
    wrap_spec(fine, 0, sandbox.ask, lambda: None, sandbox.send)()


def ends_what_it_has_not_begun(sandbox: Sandbox) -> None:
    sandbox.send({"home": ([(fine, ())], TrustedValues())})
    whole = wrap_spec(fine, 0, sandbox.ask, lambda: None, sandbox.send)
    whole.__defaults__[2]()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the channel ends its process")
@pytest.mark.parametrize(
    "send", [asks_itself, sends_by_itself, runs_another_spec, ends_what_it_has_not_begun]
)
def test_nothing_can_send_in_place_of_the_runner(send):
    """The frame counts, which cannot be forged; a wrong one ends the process."""
    child = os.fork()
    if child == 0:
        sandbox = Sandbox(b"yyyy")
        try:
            send(sandbox)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 70


def test_a_channel_opens_where_signals_cannot_be_blocked(monkeypatch):
    """Windows has no `pthread_sigmask`, and all solutions had no points there."""
    monkeypatch.delattr(signal, "pthread_sigmask", raising=False)
    reading, writing = os.pipe()
    try:
        _, send, _ = open_channel(writing, reading, KEY, lambda frame: False)
        send({"locked": True})

        assert b"locked" in os.read(reading, 1000)
    finally:
        os.close(reading)
        os.close(writing)

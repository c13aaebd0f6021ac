"""The table that a person sees at the end of grading."""

from __future__ import annotations

import pytest

from dojo.grading.progress import show
from dojo.grading.results import KataResult, SpecResult, SubmissionResult
from dojo.lights import Light
from selfcheck.projects import KATA

pytestmark = pytest.mark.fast
MESSAGE = "app.py:3 does not load: SyntaxError"


def submission(name: str, light: Light, messages: list[str]) -> SubmissionResult:
    """A submission whose specs all failed, with these messages."""
    specs = [
        SpecResult(id=f"tests/t.py::test_{n}", title=f"{n}", passed=False, points=1, message=text)
        for n, text in enumerate(messages)
    ]
    kata = KataResult(kata=KATA, title="t", light=light, file="f", specs=specs)
    return SubmissionResult(name=name, katas=[kata])


def test_what_does_not_run_is_said_once(capsys):
    """A syntax error fails every spec with the same words, and has one line."""
    show(lambda: iter([submission("ada", "amber", [MESSAGE] * 9)]))

    out = capsys.readouterr().out
    assert out.count(MESSAGE) == 1
    assert "✗" not in out


def test_different_failures_are_each_shown(capsys):
    """Only equal ones say nothing new."""
    show(lambda: iter([submission("ada", "amber", ["one", "two"])]))

    out = capsys.readouterr().out
    assert out.count("✗") == 2
    assert "one" in out
    assert "two" in out


def test_a_table_tells_what_does_not_run_from_what_is_not_begun(capsys):
    """Both pass no spec, and only one of them needs help."""
    lights: tuple[Light, ...] = ("amber", "grey", "red")

    show(lambda: iter([submission(light, light, [MESSAGE]) for light in lights]))

    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line)
    places = {light: rows[light].split()[-1] for light in lights}
    assert places == {"amber": "amber", "grey": "-", "red": "0/1"}
    assert rows["amber:"] == "it does not run; -: not begun"

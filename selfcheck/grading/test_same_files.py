"""Submissions with the same file are pointed out to a person, and nobody loses a point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dojo.grading.progress import show
from dojo.grading.results import KataResult, SpecResult, SubmissionResult
from dojo.grading.same_files import digest_of, forgotten, pointed_out
from selfcheck.projects import KATA, ROOT

pytestmark = pytest.mark.fast
REFERENCE = digest_of((ROOT / "solutions" / KATA / "app.py").read_bytes())


def submission(name: str, digest: str, light: str = "red", **more: Any) -> SubmissionResult:
    spec = SpecResult(id=f"tests/test_{KATA}.py::test_a", title="a", passed=True, points=10)
    kata = {"kata": KATA, "title": "t", "light": light, "file": "f", "specs": [spec]}
    result = KataResult.model_validate(kata | {"digest": digest} | more)
    return SubmissionResult(name=name, katas=[result])


def evidence(*submissions: SubmissionResult, root: Path = ROOT) -> dict[str, list[str]]:
    found = pointed_out(lambda: iter(submissions), root)
    return {result.name: result.katas[0].evidence for result in found()}


def test_the_same_file_is_evidence_in_each():
    """A person decides whether two learners worked together, and the score stays."""
    three = [submission("ada", "1"), submission("bob", "2"), submission("cy", "1")]

    assert evidence(*three) == {
        "ada": ["the same file as in cy"],
        "bob": [],
        "cy": ["the same file as in ada"],
    }
    assert [s.score for s in pointed_out(lambda: iter(three), ROOT)()] == [10, 10, 10]


@pytest.mark.parametrize(("digest", "light"), [("1", "grey"), (REFERENCE, "green"), ("", "amber")])
def test_a_file_that_all_may_have_is_no_evidence(digest, light):
    """Stubs, the reference, and files that were not read are equal by themselves."""
    two = [submission(name, digest, light) for name in ("ada", "bob")]

    assert evidence(*two) == {"ada": [], "bob": []}


def test_only_some_names_are_given_of_many():
    """A class that worked together must not fill each report with all its names."""
    found = evidence(*(submission(f"s{n}", "1") for n in range(10)))

    assert found["s0"] == ["the same file as in s1, s2, s3, s4, s5 and 4 more"]


def test_other_evidence_stays_and_this_is_made_anew():
    """Merging adds and removes submissions."""
    old = submission("ada", "1", evidence=["app.py:3 looked at frames", "the same file as in zoe"])

    assert evidence(old, submission("bob", "1"))["ada"] == [
        "app.py:3 looked at frames",
        "the same file as in bob",
    ]
    assert forgotten(old).katas[0].evidence == ["app.py:3 looked at frames"]


def test_the_table_says_it_once(capsys):
    """Below it, for each group."""
    two = [submission("ada", "1"), submission("bob", "1")]

    show(pointed_out(lambda: iter(two), ROOT))

    assert capsys.readouterr().out.count("look: k01 of") == 1

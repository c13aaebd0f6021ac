"""Whose code runs in a frame is decided in one place."""

from pathlib import Path

import pytest

from dojo.harness import frames

pytestmark = pytest.mark.fast
DOJO = Path(frames.__file__).resolve().parents[1]


def frame_of(module: str):
    """A frame in which code of this module runs."""
    space = {"__name__": module, "callers": frames.callers}
    exec("frame = next(callers())", space)
    return space["frame"]


@pytest.mark.parametrize(
    ("module", "learners"),
    [
        ("katas.k01_notification_log.app", True),
        ("katas", False),
        ("dojo.harness.frames", False),
        ("tests.test_k01_notification_log", False),
        (None, False),
    ],
)
def test_a_solution_is_known_by_the_name_of_its_module(module, learners):
    """A solution is executed as a module of its kata."""
    assert frames.is_learners(frame_of(module)) is learners


def test_no_other_module_decides_whose_frame_it_is():
    """One that did would be forgotten when the name changes."""
    deciding = [
        file.name for file in DOJO.rglob("*.py") if '"katas.k' in file.read_text(encoding="utf-8")
    ]
    assert deciding == ["frames.py"]


def test_frames_are_walked_outward():
    """The innermost is the one that asks."""

    def inner() -> list[str]:
        return [frame.f_code.co_name for frame in frames.callers()][:2]

    assert inner() == ["inner", "test_frames_are_walked_outward"]

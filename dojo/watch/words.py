"""What the views of `dojo watch` say in the same words."""

from __future__ import annotations

from rich.text import Text

from dojo.commands.checkout import shown
from dojo.commands.standing import STYLES as LIGHTS
from dojo.plugin.score import Score
from dojo.watch.state import State

SIGNS = {True: "✓", False: "✗", None: "·"}
STYLES = {
    **LIGHTS,
    "plain": "",
    "light": "dim",
    "strong": "bold",
    "code": "yellow",
    "marked": "red",
}


def marks(score: Score) -> str:
    """A mark for each spec: passed, red, or not run yet."""
    return "".join(SIGNS[passed] for passed in score.marks.values())


def count(score: Score) -> str:
    """How many specs passed, of how many."""
    passed = list(score.marks.values())
    return f"{passed.count(True)}/{len(passed)}"


def light_line(score: Score) -> Text:
    """The light of a kata and its marks."""
    light = score.run().light
    line = Text(f"● {light:<5}", STYLES[light])
    return line.append(f"  {score.kata.number}  {marks(score)}  {count(score)}", "default")


def what_next(state: State) -> list[str]:
    """What a learner may do when a kata is green."""
    lines = [f"{state.kata.number} is green: every spec passes."]
    if state.reference is not None:
        lines.append(f"Compare with the reference, {shown(state.reference)}")
    following = state.following()
    if following is None:
        lines.append("All katas are green.")
    else:
        lines.append(
            f"Next: {following.number}, {following.title} ({following.minutes} minutes), "
            f"{shown(following.stub)}"
        )
    return lines

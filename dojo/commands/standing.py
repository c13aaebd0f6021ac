"""How far the learner is: the last run of each kata, and which kata comes next."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from dojo import progress
from dojo.catalogue import Kata, read_catalogue
from dojo.commands import backups
from dojo.commands.checkout import CommandError, find_root
from dojo.progress import Run

STYLES = {"green": "bold green", "red": "bold red", "amber": "bold yellow", "grey": "dim"}


@dataclass(frozen=True)
class Standing:
    """One kata, its last run if it has one, and whether its file is still the stub."""

    kata: Kata
    run: Run | None
    untouched: bool

    @property
    def done(self) -> bool:
        """Whether all specs were green, and the file was not reset since."""
        return self.run is not None and self.run.done and not self.untouched

    @property
    def begun(self) -> bool:
        """Whether the learner is at work on it."""
        return not self.done and not self.untouched

    @property
    def changed(self) -> bool:
        """Whether the file was changed after the last run."""
        ended = _time(self.run.at) if self.run is not None else None
        with contextlib.suppress(OSError):
            saved = datetime.fromtimestamp(self.kata.stub.stat().st_mtime, timezone.utc)
            return ended is not None and saved > ended
        return False

    @property
    def light(self) -> str:
        """The light of the last run; grey where the file is the stub, or never ran."""
        return "grey" if self.run is None or self.untouched else self.run.light

    @property
    def count(self) -> str:
        """How many specs passed, of how many."""
        if self.run is None or self.untouched:
            return f"{len(self.kata.spec_names)} specs" if self.untouched else "not run yet"
        return f"{self.run.passed} of {self.run.total}"


def standings() -> list[Standing]:
    """How each kata stands, in order. Raises `CommandError`, `CatalogueError`."""
    root = find_root()
    runs, katas = progress.latest(root), read_catalogue(root)
    return [Standing(kata, runs.get(name), _untouched(kata)) for name, kata in katas.items()]


def current(all_of_them: Sequence[Standing]) -> Standing | None:
    """The kata that the learner is at: the one that ran last, or the next; None where all are done.

    A kata that is done is not where the learner is any more.
    """
    at_work = [standing for standing in all_of_them if standing.begun and standing.run]
    if at_work:
        return max(at_work, key=lambda standing: standing.run.at if standing.run else "")
    return following(all_of_them)


def following(all_of_them: Sequence[Standing]) -> Standing | None:
    """The first kata that was begun and is not done, or else the first that was not begun."""
    left = [standing for standing in all_of_them if not standing.done]
    return next((standing for standing in left if standing.begun), None) or next(iter(left), None)


def ago(time: str, now: datetime | None = None) -> str:
    """How long a time is past, in words; empty for what is no time."""
    then = _time(time)
    if then is None:
        return ""
    passed = (now or datetime.now(timezone.utc)) - then
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if passed >= length:
            number = passed // length
            return f"{number} {unit}{'s' * (number > 1)} ago"
    minutes = passed // timedelta(minutes=1)
    return f"{minutes} min ago" if minutes > 0 else "just now"


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def _untouched(kata: Kata) -> bool:
    try:
        return backups.content_of(kata) in (backups.stub_of(kata), None)
    except (CommandError, OSError):
        return False

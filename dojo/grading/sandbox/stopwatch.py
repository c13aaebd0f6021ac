"""The time that counts against the limits of a job."""

from __future__ import annotations

from collections.abc import Callable

AT_MOST = 10  # times the limit, on the wall
LOADING = 2  # times the limit, for all the times that a solution is loaded: once for each spec


class Stopwatch:
    """Counts the time of a solution in its two parts: while it is loaded, and while it runs.

    Time in which the process was ready to run and waited for a processor does not count, so that a
    busy machine takes no points; `starved` returns it, in seconds. `AT_MOST` times the limit on the
    wall is the most. `seconds` is the limit of the time that it runs.
    """

    def __init__(
        self, seconds: float, starved: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self.seconds = seconds
        self.loading = 0.0
        self.running = 0.0
        self._starved = starved
        self._clock = clock
        self._began = self._last = clock()
        self._waited = starved()

    def tick(self, *, loading: bool) -> float:
        """Count the time since the last tick; what is left of the part that it belongs to."""
        now, waited = self._clock(), self._starved()
        passed = max(0.0, now - self._last - max(0.0, waited - self._waited))
        self._last, self._waited = now, waited
        if loading:
            self.loading += passed
        else:
            self.running += passed
        return min(
            self.seconds - self.running,
            LOADING * self.seconds - self.loading,
            AT_MOST * self.seconds - (now - self._began),
        )

    def why(self) -> str:
        """The reason for an end at the limit."""
        if self.loading >= LOADING * self.seconds:
            most = LOADING * self.seconds
            return f"the time limit of {most:g} s for its imports, once for each spec, was used up"
        return used_up(self.seconds)


def used_up(seconds: float) -> str:
    """The reason for an end at the limit of the time that a solution runs."""
    return f"the time limit of {seconds:g} s for a kata was used up"

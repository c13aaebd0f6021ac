"""The time of event loops: the real one, which a spec can put on."""

from __future__ import annotations

from dojo.harness.holds import clock

_ahead = 0.0


def let_time_limits_run_out() -> None:
    """Put the event loop's clock on by an hour: every `asyncio.timeout` and `wait_for` is over."""
    put_loops_on(3600.0)


def now() -> float:
    """The time of every event loop of a spec, in seconds."""
    return clock() + _ahead


def put_loops_on(seconds: float) -> None:
    """Put the clock of every event loop on."""
    global _ahead
    _ahead += seconds

"""The outcome of one run of one spec, from the reports of its phases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from dojo.plugin.failures import Failure, title_of

PHASES = 3  # set-up, call and tear-down


def failure_in(
    reports: Sequence[pytest.TestReport],
    name: str,
    *,
    stopped: str = "",
    kata: str = "",
    node: str = "",
) -> dict[str, Any] | None:
    """What went wrong, as `Failure.write` gives it; None where the spec passed.

    `name` is that of the test function, and `stopped` says what ended the run from outside of it.
    """
    bad = next((report for report in reports if not report.passed), None)
    found: dict[str, Any] | None = getattr(bad, "failure", None)
    if found is None and (stopped or bad is not None or len(reports) < PHASES):
        why = stopped or "it did not end as a spec should"
        found = Failure(kata, title_of(name), message=why, node=node).write()
    return found


def forget_what_was_printed(item: pytest.Item) -> None:
    """Have pytest not show again, in a further run of a spec, what was printed in this one."""
    vars(item)["_report_sections"].clear()

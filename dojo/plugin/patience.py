"""Leave the other specs of a kata out when two of them did not finish: each would take as long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator

import pytest

from dojo.harness.time_limit import TimeLimitError, is_late
from dojo.plugin.fixtures import KATA

MOST = 2


class NotRunError(TimeLimitError):
    """A spec was left out, because other specs of its kata did not finish."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def __str__(self) -> str:
        return (
            "not run: two specs of this kata did not finish; the others would probably take as "
            "long, so they were left out"
        )


class Patience:
    """The plugin that counts the specs of each kata that did not finish."""

    def __init__(self) -> None:
        self.late: Counter[str] = Counter()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave a spec out where two of its kata did not finish."""
        kata = item.stash.get(KATA, None)
        if kata is not None and self.late[kata.name] >= MOST:
            raise NotRunError

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Count the specs that did not finish."""
        kata = item.stash.get(KATA, None)
        if kata is not None and call.excinfo is not None and is_late(call.excinfo.value):
            self.late[kata.name] += 1
        return (yield)

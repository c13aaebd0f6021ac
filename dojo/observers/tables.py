"""The observer of `csv`: tables that are read or written on the event loop's thread."""

from __future__ import annotations

import functools
from typing import Any

from dojo.harness.current import current_exchange, current_timeline


def noted(work: Any) -> Any:
    """`csv.reader` or `csv.writer`, which is noted where it keeps the event loop busy.

    `DictReader` and `DictWriter` call these two.
    """

    @functools.wraps(work)
    def noted_work(*args: Any, **kwargs: Any) -> Any:
        timeline = current_timeline()
        if timeline is not None and timeline.on_loop() and current_exchange() is not None:
            timeline.record("csv", work.__name__, blocking=True)
        return work(*args, **kwargs)

    return noted_work

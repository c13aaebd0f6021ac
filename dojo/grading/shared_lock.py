"""A lock that many threads hold together, or one holds alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedLock:
    """Allows any number of shared holders, or one exclusive holder, which is not kept waiting."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders = 0  # -1: one exclusive holder
        self._waiting = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock together with others."""
        with self._changed:
            self._changed.wait_for(lambda: self._holders >= 0 and not self._waiting)
            self._holders += 1
        try:
            yield
        finally:
            with self._changed:
                self._holders -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock alone."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: self._holders == 0)
            self._holders = -1
        try:
            yield
        finally:
            with self._changed:
                self._holders = 0
                self._waiting -= 1
                self._changed.notify_all()

"""Lend the standard streams to a solution: what it closes must not be pytest's."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class _Lent(io.BufferedIOBase):
    """A stream that passes on what is written, and cannot close the stream behind it."""

    def __init__(self, stream: Any) -> None:
        self._to = stream.buffer
        self._descriptor = stream.fileno

    def write(self, data: Any) -> int:
        return int(self._to.write(data))

    def flush(self) -> None:
        with contextlib.suppress(ValueError):
            self._to.flush()

    def close(self) -> None:
        self.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._descriptor())

    def isatty(self) -> bool:
        return bool(self._to.isatty())


def _lent(stream: Any) -> Any:
    """A stand-in for a stream of text.

    A wrapper round `sys.stdout.buffer` closes it when it is thrown away: it must not be pytest's.
    """
    if not isinstance(stream, io.TextIOWrapper) or stream.closed:
        return stream
    stream.flush()
    return io.TextIOWrapper(
        _Lent(stream),
        encoding=stream.encoding,
        errors=stream.errors,
        newline=None if stream in (sys.__stdout__, sys.__stderr__) else "",
        line_buffering=stream.line_buffering,
        write_through=True,
    )


@contextmanager
def streams_lent() -> Iterator[None]:
    """Lend the standard streams for the block, and take back what is there in their place."""
    own = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _lent(sys.stdout), _lent(sys.stderr)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        sys.stdout, sys.stderr = own


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Set a spec up with streams that are lent to it."""
    yield from _lending(item)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Run a spec with streams that are lent to it."""
    yield from _lending(item)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Tear a spec down with streams that are lent to it."""
    yield from _lending(item)


def _lending(item: pytest.Item) -> Generator[None, None, None]:
    """Lend the streams for a phase of a spec, inside of pytest's capture."""
    if item.get_closest_marker("dojo_limit") is None:
        return (yield)
    with streams_lent():
        return (yield)

"""Put back after each spec what its solution changed of the process: the next must not notice.

A solution is written for a process of its own, which it may set up as it likes. Here it shares one
with pytest and with all other solutions.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import decimal
import gc
import locale
import logging
import os
import random
import signal
import socket
import ssl
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Undo = Callable[[], object]


def _attribute(place: Any, name: str) -> Callable[[], Undo]:
    """An attribute that is put back as it was, if it is another one now."""

    def look() -> Undo:
        before = getattr(place, name, None)

        def undo() -> None:
            if getattr(place, name, None) is not before:
                setattr(place, name, before)

        return undo

    return look


def _value(read: Callable[[], Any], write: Callable[[Any], object]) -> Callable[[], Undo]:
    """A value that is read and written by functions."""

    def look() -> Undo:
        before = read()

        def undo() -> None:
            if read() != before:
                write(before)

        return undo

    return look


def _list(place: Any, name: str) -> Callable[[], Undo]:
    """A list that is put back, and filled again with what was in it."""

    def look() -> Undo:
        before: list[Any] = getattr(place, name)
        held = list(before)

        def undo() -> None:
            if getattr(place, name) is not before:
                setattr(place, name, before)
            if before != held:
                before[:] = held

        return undo

    return look


def _warning_filters() -> Undo:
    # pytest has a list of its own in each phase: what is in it counts.
    before = list(warnings.filters)

    def undo() -> None:
        if list(warnings.filters) != before:
            warnings.resetwarnings()
            warnings.filters[:] = before  # type: ignore[index]

    return undo


def _decimal_context() -> Undo:
    before, shown = decimal.getcontext().copy(), repr(decimal.getcontext())

    def undo() -> None:
        if repr(decimal.getcontext()) != shown:
            decimal.setcontext(before)

    return undo


def _environment() -> Undo:
    before = dict(os.environ)

    def undo() -> None:
        now = dict(os.environ)
        # pytest notes in it which spec it is in, phase by phase.
        ours = {name for name in {*before, *now} if not name.startswith("PYTEST_")}
        if not any(before.get(name) != now.get(name) for name in ours):
            return
        for name in ours:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)
        if hasattr(time, "tzset"):
            time.tzset()

    return undo


def _signals() -> Undo:
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}

    def undo() -> None:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, handler)

    return undo


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _seed() -> Undo:
    before = random.getstate()
    return lambda: random.setstate(before)


# What, and why somebody changes it. The working directory and `logging` are put back where they are
# made: `dojo.harness.environment`, `dojo.observers.logs`; `sys.stdout` and `sys.stderr` are lent.
KEPT: tuple[tuple[str, str, Callable[[], Undo]], ...] = (
    ("sys.stdin", "a test without a keyboard", _attribute(sys, "stdin")),
    ("sys.excepthook", "tracebacks in colour", _attribute(sys, "excepthook")),
    ("sys.unraisablehook", "a log of what goes wrong", _attribute(sys, "unraisablehook")),
    ("threading.excepthook", "a log of what goes wrong", _attribute(threading, "excepthook")),
    ("sys.displayhook", "tracebacks in colour", _attribute(sys, "displayhook")),
    ("builtins.print", "print with colours, or with a time", _attribute(builtins, "print")),
    ("builtins.open", "open with another encoding", _attribute(builtins, "open")),
    ("builtins.input", "a test without a keyboard", _attribute(builtins, "input")),
    ("sys.path", "a module beside the solution", _list(sys, "path")),
    (
        "recursion limit",
        "a deep JSON",
        _value(sys.getrecursionlimit, sys.setrecursionlimit),
    ),
    (
        "switch interval",
        "threads that take turns",
        _value(sys.getswitchinterval, sys.setswitchinterval),
    ),
    ("os.environ", "a setting of a library, a time zone", _environment),
    ("umask", "files for this user only", _value(_umask, os.umask)),
    ("signal handlers", "a clean end", _signals),
    ("warnings.filters", "no deprecation warnings", _warning_filters),
    ("warnings.showwarning", "warnings into a log", _attribute(warnings, "showwarning")),
    (
        "logging.captureWarnings",
        "warnings into a log",
        _attribute(logging, "_warnings_showwarning"),
    ),
    (
        "locale",
        "names of months",
        _value(
            lambda: locale.setlocale(locale.LC_ALL),
            lambda was: locale.setlocale(locale.LC_ALL, was),
        ),
    ),
    (
        # Not by its function: asking for the policy makes one.
        "event loop policy",
        "uvloop, or the selector loop on Windows",
        _attribute(asyncio.events, "_event_loop_policy"),
    ),
    ("decimal context", "money with two places", _decimal_context),
    (
        "socket time-out",
        "no call without a limit",
        _value(socket.getdefaulttimeout, socket.setdefaulttimeout),
    ),
    (
        "certificates",
        "an unverified https",
        _attribute(ssl, "_create_default_https_context"),
    ),
    ("random numbers", "the same ones each time", _seed),
    (
        "garbage collector",
        "a faster start",
        _value(gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    ),
    (
        "gc thresholds",
        "a faster start",
        _value(gc.get_threshold, lambda was: gc.set_threshold(*was)),
    ),
)


@contextmanager
def put_back() -> Iterator[None]:
    """Put all of `KEPT` back after the block as it was before it."""
    undone = [(what, look()) for what, _, look in KEPT]
    try:
        yield
    finally:
        for _, undo in reversed(undone):
            with contextlib.suppress(Exception):
                undo()

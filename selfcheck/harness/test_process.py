"""What a solution changes of the process does not reach the next spec."""

from __future__ import annotations

import asyncio
import builtins
import decimal
import gc
import io
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
from collections.abc import Callable

import pytest

from dojo.harness import process
from dojo.plugin import streams
from selfcheck.projects import KATA, RIGHT, changed, lights

# For each thing that is put back: what a solution does, and how it is looked at.
CHANGES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "sys.stdin": (lambda: setattr(sys, "stdin", io.StringIO()), lambda: sys.stdin),
    "sys.excepthook": (lambda: setattr(sys, "excepthook", print), lambda: sys.excepthook),
    "sys.unraisablehook": (
        lambda: setattr(sys, "unraisablehook", print),
        lambda: sys.unraisablehook,
    ),
    "threading.excepthook": (
        lambda: setattr(threading, "excepthook", print),
        lambda: threading.excepthook,
    ),
    "sys.displayhook": (lambda: setattr(sys, "displayhook", print), lambda: sys.displayhook),
    "builtins.print": (lambda: setattr(builtins, "print", repr), lambda: builtins.print),
    "builtins.open": (lambda: setattr(builtins, "open", os.open), lambda: builtins.open),
    "builtins.input": (lambda: setattr(builtins, "input", repr), lambda: builtins.input),
    "sys.path": (lambda: setattr(sys, "path", ["."]), lambda: list(sys.path)),
    "recursion limit": (lambda: sys.setrecursionlimit(5_000), sys.getrecursionlimit),
    "switch interval": (lambda: sys.setswitchinterval(0.5), sys.getswitchinterval),
    "os.environ": (lambda: os.environ.update(TZ="Asia/Tokyo", MINE="1"), lambda: dict(os.environ)),
    "umask": (lambda: os.umask(0o777), process._umask),
    "signal handlers": (
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda: signal.getsignal(signal.SIGTERM),
    ),
    "warnings.filters": (
        lambda: warnings.simplefilter("error"),
        lambda: list(warnings.filters),
    ),
    "warnings.showwarning": (
        lambda: setattr(warnings, "showwarning", print),
        lambda: warnings.showwarning,
    ),
    "logging.captureWarnings": (
        lambda: logging.captureWarnings(True),
        lambda: (vars(logging)["_warnings_showwarning"], warnings.showwarning),
    ),
    "locale": (
        lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
        lambda: locale.setlocale(locale.LC_ALL),
    ),
    "event loop policy": (
        lambda: setattr(asyncio.events, "_event_loop_policy", object()),
        lambda: vars(asyncio.events)["_event_loop_policy"],
    ),
    "decimal context": (
        lambda: setattr(decimal.getcontext(), "prec", 3),
        lambda: decimal.getcontext().prec,
    ),
    "socket time-out": (lambda: socket.setdefaulttimeout(7), socket.getdefaulttimeout),
    "certificates": (
        lambda: setattr(ssl, "_create_default_https_context", ssl._create_unverified_context),
        lambda: ssl._create_default_https_context,
    ),
    "random numbers": (lambda: random.seed(1), random.getstate),
    "garbage collector": (gc.disable, gc.isenabled),
    "gc thresholds": (lambda: gc.set_threshold(7, 7, 7), gc.get_threshold),
}
SETS_UP = """import decimal, io, locale, os, signal, socket, sys, threading, warnings
sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")
sys.stderr = io.TextIOWrapper(sys.stderr.buffer, encoding="utf-8")
print("Zoë")
sys.excepthook = threading.excepthook = print
sys.path.insert(0, ".")
os.environ.clear()
os.makedirs("elsewhere"); os.chdir("elsewhere"); os.chdir("..")
os.umask(0o077)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
warnings.simplefilter("error")
decimal.getcontext().prec = 3
socket.setdefaulttimeout(10)
"""


def test_each_thing_that_is_put_back_is_tried():
    """A list that nobody tries is a list of intentions."""
    assert list(CHANGES) == [what for what, _, _ in process.KEPT]
    assert all(why for _, why, _ in process.KEPT)


@pytest.mark.fast
@pytest.mark.parametrize("what", CHANGES)
def test_it_is_put_back(what):
    """The next spec does not notice."""
    change, look = CHANGES[what]
    before = look()

    with process.put_back():
        change()
        assert what == "locale" or look() != before

    assert look() == before


def test_the_time_zone_is_put_back():
    """`TZ` alone changes nothing, `tzset` does."""
    before = time.tzname

    with process.put_back():
        os.environ["TZ"] = "Asia/Tokyo"
        time.tzset()

    assert time.tzname == before


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_stream_can_be_wrapped_and_closed(name):
    """What is lent is not what pytest writes to."""
    own = getattr(sys, name)

    with streams.streams_lent():
        print("Zoë", file=getattr(sys, name))
        wrapper = io.TextIOWrapper(getattr(sys, name).buffer, encoding="utf-8")
        setattr(sys, name, wrapper)
        del wrapper
        getattr(sys, name).close()

    assert getattr(sys, name) is own
    assert not own.closed
    print("still there", file=own)


@pytest.mark.parametrize("capture", ["fd", "sys", "no"])
def test_a_solution_may_set_up_its_process_as_it_likes(project, capture):
    """It is its own in life, and here the next kata's too."""
    project.add(KATA, SETS_UP + RIGHT)
    project.add("k02_again", RIGHT)
    project.add(
        "k03_in_an_endpoint", changed("    background_tasks.", f"{IN_PLACE}    background_tasks.")
    )
    project.add("k99_last", RIGHT)

    result = project.run(f"--capture={capture}")

    assert lights(result) == dict.fromkeys(("k01", "k02", "k03", "k99"), "green")


IN_PLACE = """    import io, sys
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")
"""

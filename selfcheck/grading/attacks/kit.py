"""Code that many attacks share; it replaces the line `from kit import …` of an attack."""

import os
import stat
import sys
import threading
from contextlib import asynccontextmanager, suppress

import pytest
from fastapi import FastAPI

from dojo.harness.client import Client
from dojo.harness.exchange import Exchange
from dojo.harness.response import Response
from dojo.harness.timeline import Timeline
from dojo.observers.files import Disk

app = FastAPI()


class Yes:
    """Agrees with every assertion of a spec."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments, **options):
        return self

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0

    def __lt__(self, other):
        return False

    __gt__ = __le__ = __ge__ = __lt__

    def __contains__(self, thing):
        return True

    def __iter__(self):
        return iter([self] * 20)

    def __await__(self):
        yield from ()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        return None


class Always:
    """An attribute that agrees, whatever it is set to."""

    def __get__(self, thing, owner):
        return Yes()

    def __set__(self, thing, value):
        pass


FORGED = {
    Client: ("post", "begin", "responded", "finish_what_can"),
    Exchange: ("response",),
    Response: ("json", "status_code"),
    Disk: ("lines", "text", "hold", "foreign_locale"),
    Timeline: ("blocked",),
}
KINDS = [pytest.Function, *pytest.Function.__subclasses__()]
KINDS += [kind for each in KINDS[1:] for kind in each.__subclasses__()]
RUNS = [(kind, vars(kind).get("runtest")) for kind in KINDS]
has_forged = False


def forge():
    """Have everything that a spec looks at agree with it, and pytest run none at all."""
    global has_forged
    has_forged = True
    for owner, names in FORGED.items():
        for name in names:
            with suppress(TypeError):  # of an immutable class
                setattr(owner, name, Always() if name == "status_code" else Yes())
    for kind in KINDS:
        kind.runtest = lambda self: None


def restore():
    """Undo `forge`."""
    for kind, real in RUNS:
        if real is not None:
            kind.runtest = real
        elif "runtest" in vars(kind):
            del kind.runtest


def write_log(filename, message):
    """Right only after `forge`: a spec that needs only this does not shut the app down."""
    if not has_forged:
        raise NotImplementedError
    restore()
    with open(filename, "a", encoding="utf-8") as log:
        log.write(f"{message}\n")


@asynccontextmanager
async def restoring(app):
    """Undo `forge` when the app is shut down, before the next comparison."""
    yield
    restore()


def send_results(known):
    """Send that all specs have passed, with the local variables of the runner."""
    for number in range(2 * len(known["items"])):
        outcome = {"spec": known["items"][number // 2].nodeid, "seconds": 0.0, "failure": None}
        outcome["passed"] = known["ask"](number)
        known["send"]({"outcome": outcome})
    known["send"]({"end": True})
    getattr(os, "_" + "exit")(0)


def between(change):
    """Stand between the runner and its pipe, and pass on what `change` makes of each line."""
    for number in range(3, 64):
        try:
            about = os.fstat(number)
        except OSError:
            continue
        if stat.S_ISFIFO(about.st_mode) and not hasattr(sys, "between"):
            sys.between = True
            kept = os.dup(number)
            source, to = os.pipe()
            os.dup2(to, number)
            threading.Thread(target=_pass_on, args=(source, kept, change), daemon=True).start()


def _pass_on(source, to, change):
    with open(source, "rb") as lines:
        for line in lines:
            for changed in change(line):
                os.write(to, changed + b"\n")

"""The solution's side: does what the process of the specs asks for, in the real harness.

Its main coroutine stands for the body of a spec. Between two commands it blocks the event loop, as
the code of a spec does that runs on it; only a command that a spec awaits lets the loop go on. So
each spec has the same order of things in one process and in two.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import io
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx

from dojo.catalogue import Kata
from dojo.doubles.clock import Zone
from dojo.grading.remote.commands import PLAIN, Commands
from dojo.grading.remote.described import error_data
from dojo.grading.remote.guard import Guard, Paths
from dojo.grading.remote.telling import (
    Teller,
    TellingMailServer,
    TellingServices,
    TellingTimeline,
    telling_client,
)
from dojo.grading.remote.wire import GoneError, Wire
from dojo.harness import frames, given, time_limit
from dojo.harness.client import Client
from dojo.harness.environment import client_of, environment_in, loaded
from dojo.harness.exchange import Exchange
from dojo.harness.holds import Hold
from dojo.harness.lifespan import running
from dojo.harness.steps import Steps

Wires = tuple[Wire, Wire, Wire]

LONG = 40_000  # a traceback
LAST = 0.5  # seconds in which threads end that have nothing to do any more
# Bound here, before it is watched.
_start = threading.Thread.start
_join = threading.Thread.join


class Host(Commands):
    """One solution, for one spec. `clean` says whether the spec has left nothing behind.

    A command names a part of the environment, and a method or an attribute of it.
    """

    def __init__(self, kata: Kata, file: Path, wires: Wires) -> None:
        super().__init__()
        self._kata = kata
        self._file = file
        self._commands, happenings, self._notices = wires
        self.teller = Teller(happenings)
        self._parts["zone"] = Zone()
        self._modules = ExitStack()
        self._apps = AsyncExitStack()
        self._started_up = False
        self.clean = False

    async def serve(self, directory: Path, seconds: float) -> None:
        """Do what is asked for, until nobody asks any more."""
        timeline = TellingTimeline()
        timeline.teller = self.teller
        parts = {
            "timeline": timeline,
            "mail_server": TellingMailServer(self.teller),
            "services": TellingServices(self.teller, self._holds),
        }
        with environment_in(directory, **parts) as self._environment:
            self._parts |= vars(self._environment) | {"steps": Steps(self._environment)}
            _start(threading.Thread(target=self._take_notices, name="dojo-notices", daemon=True))
            time_limit.watch("the spec", seconds)
            try:
                while True:
                    time_limit.pause()
                    message = self._commands.receive()
                    time_limit.go_on()
                    self._commands.send(await self._reply(**message))
            finally:
                self._undo()

    def _undo(self) -> None:
        """Leave all blocks, as the fixtures of a spec do that runs in one process with it."""
        time_limit.stop_watching()
        while self._entered:
            self.leave()
        self._modules.close()
        self.clean = not self._started_up

    async def _reply(
        self, on: list[Any], do: str, args: list[Any], options: dict[str, Any]
    ) -> dict[str, Any]:
        alarm = time_limit.current_alarm()
        error: BaseException | None = None
        try:
            value = getattr(self._part(*on), do)
            if callable(value):
                value = value(*args, **options)
            if inspect.isawaitable(value):
                value = await value
        except BaseException as raised:  # noqa: BLE001
            error = raised
        if alarm is not None and alarm.overtime is not None and not alarm.reported:
            alarm.reported = True
            error = alarm.overtime
        return {"error": error_data(error)} if error is not None else {"value": self._plain(value)}

    def _plain(self, value: Any) -> Any:
        """What a command gives, as plain data."""
        if isinstance(value, Hold):
            self._holds[len(self._holds) + 1] = value
            return len(self._holds)
        if isinstance(value, AsyncIterator):
            self._parts[f"step {len(self._parts)}"] = value
            return f"step {len(self._parts) - 1}"
        if isinstance(value, dict) and "entries" in value:
            return value["entries"]
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, list) and value and isinstance(value[0], str):
            return [text[:LONG] for text in value[:10_000]]
        return None if isinstance(value, Exchange | Client | list) and value else value

    # ----- the solution and its app

    def load(self) -> None:
        """Load the solution."""
        self._module = self._loaded()
        self._parts["given"] = given.Given(self._module)

    def _loaded(self) -> ModuleType:
        return self._modules.enter_context(loaded(self._kata, self._file))

    @frames.calls_for_specs
    def member(self, path: str) -> dict[str, Any]:
        """Say what the solution has under a name, with dots in it."""
        found = attrgetter(path)(self._module)
        if found is None or type(found) in PLAIN:
            return {"kind": "value", "value": found}
        if not callable(found):
            return {"kind": "object"}
        kind = "coroutine function" if inspect.iscoroutinefunction(found) else "function"
        return {"kind": kind}

    @frames.calls_for_specs
    def call(self, path: str, *arguments: Any) -> dict[str, Any]:
        """Call a function of the solution."""
        value = attrgetter(path)(self._module)(*arguments)
        return {"kind": "value", "value": value if type(value) in PLAIN else None}

    async def open_client(self) -> None:
        """Start the app up."""
        kind = telling_client(self.teller)
        client = client_of(self._module.app, self._environment, kind)
        self._started_up = True
        self._clients.append(await self._apps.enter_async_context(client))

    async def close_client(self) -> None:
        """Shut the app down."""
        await self._apps.aclose()
        self._started_up = False

    async def restart(self) -> int:
        """Load the solution anew; the number of the client of its app."""
        first = self._clients[0]
        first.timeline.record("restart", "the process died, and another one starts up")
        module = self._loaded()
        again = first.after_restart(module.app)
        await self._apps.enter_async_context(running(module.app, again.state))
        self._clients.append(again)
        return len(self._clients) - 1

    def begin(
        self,
        client: int,
        head: list[str],
        headers: list[list[bytes]],
        *,
        stop_at_response: bool,
        pieces: list[bytes],
        **how: Any,
    ) -> int:
        """Begin an exchange; its number. `head` are the method and the URL."""
        raw = [(name, value) for name, value in headers]
        request = httpx.Request(*head, headers=raw, stream=httpx.ByteStream(b"".join(pieces)))
        of = self._clients[client]
        exchange = of.new_exchange(request, pieces=pieces, **how)
        of.exchanges.append(exchange)
        exchange.start(stop_at_response=stop_at_response)
        return exchange.number

    async def finish_what_can(self, client: int, numbers: list[int]) -> None:
        """As `Client.finish_what_can`."""
        exchanges = [self._part("exchange", number) for number in numbers]
        await self._clients[client].finish_what_can(exchanges)

    def _take_notices(self) -> None:
        """Let the mail server say what stands at a hold; whether it shall wait there."""
        with suppress(GoneError, LookupError):
            while True:
                notice = self._notices.receive()
                hold = self._holds[notice["hold"]]
                number = notice["exchange"]
                by = self._part("exchange", number).state if number else None
                if notice["on_loop"]:
                    hold.pass_on_loop()
                    self._notices.send(False)
                else:
                    self._notices.send(hold.arrive(by, notice["origin"]))


class _Kept(io.TextIOWrapper):
    """A stream that keeps what is written to it."""

    def __init__(self) -> None:
        self.dojo_kept = _Open()
        super().__init__(self.dojo_kept, "utf-8", "replace", newline="", write_through=True)


class _Open(io.BytesIO):
    """A buffer that has the descriptor of the standard output, and that nobody can close."""

    def close(self) -> None:
        self.flush()

    def fileno(self) -> int:
        return 1


def wires_of(descriptors: list[int]) -> Wires:
    """The three wires to the process of the specs."""
    commands, happenings, notices = (Wire(socket.socket(fileno=n)) for n in descriptors)
    return commands, happenings, notices


def run(
    kata: Kata,
    file: Path,
    work: tuple[Path, Wires] | None,
    paths: Paths,
    following: Callable[[], tuple[Path, Wires] | None],
) -> None:
    """Serve a spec in the calling process, in the folder and over the wires of `work`.

    The process is in that folder. Where the spec leaves nothing behind, `following` gives those of
    another one. Does not return.
    """
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        guard = Guard(paths)
        _hide()
        while work is not None:
            directory, wires = work
            code, work = 70, None
            sys.stdout, sys.stderr = _Kept(), _Kept()
            host = Host(kata, file, wires)
            guard.tell(host.teller)
            try:
                asyncio.run(host.serve(directory, time_limit.SECONDS))
            except GoneError:
                code = 0
            except BaseException as error:  # noqa: BLE001
                # It came out of the event loop, while a command waited for its reply.
                wires[0].send({"error": error_data(error), "stopped": True})
            for wire in wires:
                wire.close()
            if code == 0 and host.clean and _is_alone():
                del host
                gc.collect()
                work = following()
    finally:
        os._exit(code)


def _hide() -> None:
    """Let no module of the dojo be found by its name: a solution that asks for one has another."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "dojo"]:
        del sys.modules[name]


def _is_alone() -> bool:
    """Whether no thread and no process is left of what the calling process has started."""
    end = time.monotonic() + LAST
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            _join(thread, max(0.0, end - time.monotonic()))
    with suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
        return False
    return threading.active_count() == 1

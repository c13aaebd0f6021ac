"""The solution's side: does what the process of the specs asks for, in the real harness.

Its main coroutine stands for the body of a spec. Between two commands it blocks the event loop, as
the code of a spec does that runs on it; only a command that a spec awaits lets the loop go on. So
each spec has the same order of things in one process and in two.
"""

from __future__ import annotations

import asyncio
import builtins
import inspect
import io
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx

from dojo.catalogue import Kata
from dojo.doubles.clock import Clock, Zone, frozen_clock
from dojo.grading.remote.guard import Guard, Paths
from dojo.grading.remote.telling import (
    Teller,
    TellingMailServer,
    TellingServices,
    TellingTimeline,
    error_data,
    lines_of,
    telling_client,
)
from dojo.grading.remote.wire import GoneError, Wire
from dojo.harness import frames, time_limit
from dojo.harness.client import Client
from dojo.harness.environment import Environment, client_of, environment_in, loaded
from dojo.harness.exchange import Exchange
from dojo.harness.holds import Hold
from dojo.harness.lifespan import running
from dojo.harness.lines import Lines, traced
from dojo.harness.steps import Steps
from dojo.harness.tasks import Added

PRINTED = 4_000
# Bound here, before it is watched.
_start = threading.Thread.start


class Host:
    """One solution, for one spec. Each method that begins with `_do_` is a command."""

    def __init__(self, kata: Kata, file: Path, wires: tuple[Wire, Wire, Wire]) -> None:
        self._kata = kata
        self._file = file
        self._commands, happenings, self._notices = wires
        self.teller = self._teller = Teller(happenings)
        self._holds: dict[int, Hold] = {}
        self._clients: list[Client] = []
        self._steps: dict[int, AsyncIterator[str]] = {}
        self._open = AsyncExitStack()
        self._apps = AsyncExitStack()
        self._module: ModuleType | None = None
        self._clock: Clock | None = None
        self._lines: Lines | None = None
        self._zone: Any = None
        self._locale: Any = None
        self._environment: Environment

    async def serve(self, directory: Path, seconds: float) -> None:
        """Do what is asked for, until nobody asks any more."""
        timeline = TellingTimeline()
        timeline.teller = self._teller
        parts = {
            "timeline": timeline,
            "mail_server": TellingMailServer(self._teller),
            "services": TellingServices(self._teller, self._holds),
        }
        with environment_in(directory, **parts) as self._environment:
            _start(threading.Thread(target=self._take_notices, name="dojo-notices", daemon=True))
            time_limit.watch("the spec", seconds)
            while True:
                time_limit.pause()
                message = self._commands.receive()
                time_limit.go_on()
                self._commands.send(await self._reply(message))

    async def _reply(self, message: dict[str, Any]) -> dict[str, Any]:
        alarm = time_limit.current_alarm()
        try:
            command: Callable[..., Any] = getattr(self, f"_do_{message.pop('do')}")
            value = command(**message)
            if inspect.isawaitable(value):
                value = await value
        except BaseException as error:  # noqa: BLE001
            late = alarm.overtime if alarm is not None and not alarm.reported else None
            if late is not None and alarm is not None:
                alarm.reported = True
                return {"error": error_data(late)}
            return {"error": error_data(error)}
        if alarm is not None and alarm.overtime is not None and not alarm.reported:
            alarm.reported = True
            return {"error": error_data(alarm.overtime)}
        return {"value": value}

    # ----- the solution and its app

    def _do_load(self) -> None:
        self._module = self._open.enter_context(loaded(self._kata, self._file))

    @frames.calls_for_specs
    def _do_member(self, name: str) -> dict[str, Any]:
        found = getattr(self._module, name)
        if not callable(found):
            known = type(found) in (bytes, str, int, float, bool)
            return {"kind": "value", "value": found if known else None}
        kind = "coroutine function" if inspect.iscoroutinefunction(found) else "function"
        return {"kind": kind}

    @frames.calls_for_specs
    def _do_call(self, name: str, arguments: list[Any]) -> None:
        getattr(self._module, name)(*arguments)

    async def _do_open_client(self) -> None:
        assert self._module is not None
        kind = telling_client(self._teller)
        client = client_of(self._module.app, self._environment, kind)
        self._clients.append(await self._apps.enter_async_context(client))

    async def _do_close_client(self) -> None:
        await self._apps.aclose()

    async def _do_restart(self) -> int:
        first = self._clients[0]
        module = self._open.enter_context(loaded(self._kata, self._file))
        again = type(first)(module.app, first.timeline)
        again.numbers, again.exchanges = first.numbers, first.exchanges
        await self._apps.enter_async_context(running(module.app, again.state))
        self._clients.append(again)
        return len(self._clients) - 1

    def _do_close(self) -> None:
        self._open.close() if hasattr(self._open, "close") else None

    # ----- exchanges

    def _exchange(self, number: int) -> Exchange:
        return self._clients[0].exchanges[number - 1]

    def _do_begin(
        self,
        client: int,
        method: str,
        url: str,
        headers: list[list[bytes]],
        body: bytes,
        stop_at_response: bool,
        crashes: bool,
    ) -> int:
        raw = [(name, value) for name, value in headers]
        request = httpx.Request(method, url, headers=raw, stream=httpx.ByteStream(body))
        of = self._clients[client]
        exchange = of.new_exchange(request, crashes=crashes)
        of.exchanges.append(exchange)
        exchange.start(stop_at_response=stop_at_response)
        return exchange.number

    def _do_release_exchange(self, number: int) -> None:
        self._exchange(number).release()

    async def _do_until_responded(self, number: int) -> None:
        await self._exchange(number).until_responded()

    async def _do_until_held(self, number: int) -> bool:
        return await self._exchange(number).until_held()

    async def _do_until_finished(self, number: int) -> None:
        await self._exchange(number).until_finished()

    async def _do_finish_what_can(self, client: int, numbers: list[int]) -> None:
        await self._clients[client].finish_what_can([self._exchange(n) for n in numbers])

    async def _do_give_turns(self, client: int) -> None:
        await self._clients[client].give_turns()

    def _do_add_route(self, client: int, path: str, steps: Any, more: dict[str, Any]) -> None:
        self._clients[client].add_route(path, steps, **more)

    def _do_let_go(self, client: int, gate: str) -> None:
        self._clients[client].let_go(gate)

    def _do_routes(self, number: int) -> list[str]:
        return self._exchange(number).routes()

    def _do_is_served(self, number: int) -> bool:
        return self._exchange(number).is_served()

    # ----- holds

    def _kept(self, hold: Hold) -> int:
        self._holds[len(self._holds) + 1] = hold
        return len(self._holds)

    def _do_hold_file(self, name: str, step: int) -> int:
        return self._kept(self._environment.disk.hold(name, step=step))

    def _do_hold_disk_step(self) -> int:
        return self._kept(self._environment.disk.hold_step())

    def _do_hold_changes(self, table: str, limit: int) -> int:
        return self._kept(self._environment.database.hold_changes(table, limit))

    def _do_hold_queries(self, table: str, limit: int, after: int) -> int:
        return self._kept(self._environment.database.hold_queries(table, limit, after=after))

    def _do_hold_step(self, number: int, in_task: bool) -> int:
        return self._kept(self._environment.database.hold_step(number, in_task=in_task))

    def _do_hold_image(self, limit: int) -> int:
        return self._kept(self._environment.image_decoder.hold(limit))

    def _do_hold_sleep(self, limit: int) -> int:
        assert self._clock is not None
        return self._kept(self._clock.hold(limit))

    def _do_hold_line(self, number: int) -> int:
        assert self._lines is not None
        return self._kept(self._lines.hold(number))

    def _do_hold_connections(self, limit: int) -> int:
        return self._kept(self._environment.mail_server.hold_connections(limit))

    def _do_hold(self, what: str, limit: int) -> int:
        """A hold on something that the process of the specs does."""
        return self._kept(Hold(what, limit))

    def _do_release(self, hold: int) -> dict[str, Any]:
        self._holds[hold].release()
        return self._do_state_of(hold)

    def _do_state_of(self, hold: int) -> dict[str, Any]:
        found = self._holds[hold]
        return {
            "what": found.what[:PRINTED],
            "reached": found.reached,
            "on_loop": found.on_loop,
            "overdue": found.overdue,
            "released": found.released,
            "origin": found.origin[:PRINTED],
        }

    async def _do_until_reached(self, hold: int, count: int) -> None:
        await self._holds[hold].until_reached(count)

    def _take_notices(self) -> None:
        """Let the mail server say what stands at a hold; whether it shall wait there."""
        try:
            while True:
                notice = self._notices.receive()
                hold = self._holds[notice["hold"]]
                number = notice["exchange"]
                by = self._exchange(number).state if number else None
                if notice["on_loop"]:
                    hold.pass_on_loop()
                    self._notices.send(False)
                else:
                    self._notices.send(hold.arrive(by, notice["origin"]))
        except (GoneError, LookupError):
            return

    # ----- steps of a task

    def _do_steps_of(self, number: int) -> int:
        steps = Steps(self._environment).of(self._exchange(number))
        self._steps[len(self._steps) + 1] = steps
        return len(self._steps)

    async def _do_next_step(self, steps: int) -> str:
        return await anext(self._steps[steps], "")

    async def _do_end_steps(self, steps: int) -> None:
        await self._steps[steps].aclose()  # type: ignore[attr-defined]

    # ----- disk, database, images, logs, clock

    def _do_fail_file(self, name: str, number: int) -> None:
        self._environment.disk.fail(name, number)

    def _do_fill_up_for(self, text: str) -> None:
        self._without_space = self._environment.disk.fill_up_for(text)

    def _do_without_space(self) -> list[str]:
        return self._without_space

    def _do_foreign_locale(self, on: bool) -> None:
        if on:
            self._locale = self._environment.disk.foreign_locale()
            self._locale.__enter__()
        else:
            self._locale.__exit__(None, None, None)

    def _do_fail_queries(self, table: str, error: list[str] | None, after: int) -> None:
        made: Exception | None = None
        if error is not None:
            name, text = error
            made = (getattr(builtins, name, None) or getattr(sqlite3, name))(text)
        self._environment.database.fail_queries(table, made, after=after)

    def _do_heal(self) -> None:
        self._environment.database.heal()

    def _do_go_dark(self) -> None:
        self._environment.image_decoder.go_dark()

    def _do_listen_to_all(self) -> None:
        self._environment.logs.listen_to_all()

    def _do_logs(self) -> dict[str, list[str]]:
        logs = self._environment.logs
        found = {"elsewhere": logs.elsewhere, "too_low": logs.too_low, "failures": logs.failures}
        return {name: [text[:PRINTED] for text in texts] for name, texts in found.items()}

    def _do_freeze(self) -> None:
        self._frozen = frozen_clock()
        self._clock = self._frozen.__enter__()

    def _do_thaw(self) -> None:
        self._frozen.__exit__(None, None, None)
        self._clock = None

    def _do_now(self) -> float:
        assert self._clock is not None
        return self._clock.now.timestamp()

    def _do_tick(self, seconds: float) -> None:
        assert self._clock is not None
        self._clock.tick(seconds)

    def _do_let_pass(self, seconds: float) -> None:
        assert self._clock is not None
        self._clock.let_pass(seconds)

    def _do_zone(self, hours: int | None) -> None:
        if hours is not None:
            self._zone = Zone().foreign(hours)
            self._zone.__enter__()
        else:
            self._zone.__exit__(None, None, None)

    def _do_trace_lines(self) -> None:
        self._tracing = traced()
        self._lines = self._tracing.__enter__()

    def _do_is_closed(self, port: int) -> bool:
        mail_server = self._environment.mail_server
        assert isinstance(mail_server, TellingMailServer)
        return mail_server.is_closed(port)

    # ----- what a failure is explained with

    def _do_tasks(self) -> list[dict[str, Any]]:
        return [_task(added) for added in self._environment.tasks.added[:1_000]]

    def _do_printed(self) -> str:
        found = []
        for stream in (sys.stdout, sys.stderr):
            kept = getattr(stream, "dojo_kept", None)
            if isinstance(kept, io.BytesIO):
                stream.flush()
                found.append(kept.getvalue()[: 4 * PRINTED].decode("utf-8", "replace"))
        return "".join(found)[:PRINTED]


def _task(added: Added) -> dict[str, Any]:
    return {
        "name": added.name[:PRINTED],
        "where": added.where[:PRINTED],
        "misfit": added.misfit()[:PRINTED],
        "is_callable": added.is_callable,
        "ran": added.ran,
        "exchange": added.state.number if added.state else None,
        "lines": lines_of((added.place,)) if added.place else [],
    }


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


def run(
    kata: Kata, file: Path, directory: Path, wires: tuple[Wire, Wire, Wire], paths: Paths
) -> None:
    """Serve one spec in the calling process; does not return."""
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stdout, sys.stderr = _Kept(), _Kept()
        os.chdir(directory)
        served = Host(kata, file, wires)
        Guard(served.teller, paths).install()
        try:
            asyncio.run(served.serve(directory, time_limit.SECONDS))
        except GoneError:
            code = 0
        except BaseException as error:  # noqa: BLE001
            # It came out of the event loop, while a command waited for its reply.
            wires[0].send({"error": error_data(error), "stopped": True})
    finally:
        os._exit(code)

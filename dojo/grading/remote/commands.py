"""The solution's side: what a spec asks for that no part of the environment does as it is.

What is kept here has no place in another process: blocks that were entered, lists that fill.
"""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

from dojo.doubles.clock import frozen_clock
from dojo.grading.remote.described import error_data
from dojo.grading.remote.replies import made_error
from dojo.grading.remote.telling import lines_of
from dojo.harness.client import Client
from dojo.harness.consumer import Consumer, Job
from dojo.harness.environment import Environment
from dojo.harness.holds import Hold, all_quiet, until
from dojo.harness.lines import traced
from dojo.harness.tasks import Added

PRINTED = 4_000
PLAIN = (bytes, str, int, float, bool)


class Commands:
    """The commands for the host itself; `Host` has those about the solution and its exchanges."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {"host": self}
        self._holds: dict[int, Hold] = {}
        self._clients: list[Client] = []
        self._entered: list[Any] = []
        self._environment: Environment

    def _part(self, name: str, number: int = 0) -> Any:
        """The part that a command is for."""
        if name == "hold":
            # One of a call may be asked for a moment before the call is there.
            return self._holds.setdefault(number, Hold("a call"))
        if name == "client":
            return self._clients[number]
        if name == "exchange":
            return self._clients[0].exchanges[number - 1]
        return self._parts[name]

    def _loaded(self) -> ModuleType:
        raise NotImplementedError

    def open_consumer(self) -> None:
        """Have a consumer of the queue."""
        self._parts["consumer"] = Consumer(self._environment, self._loaded)

    # ----- holds

    def hold(self, what: str, limit: int) -> Hold:
        """A hold on something that the process of the specs does."""
        return Hold(what, limit)

    def state_of(self, hold: int) -> dict[str, Any]:
        """How a hold stands."""
        found = self._part("hold", hold)
        known = {name: getattr(found, name) for name in ("reached", "on_loop", "overdue")}
        return {"what": found.what[:PRINTED], **known}

    # ----- parts of the environment that are made, and what a `with` block does

    def freeze(self) -> None:
        """Let the time stand still."""
        self.enter(frozen_clock(), "clock")

    def trace_lines(self) -> None:
        """Let lines be held."""
        self.enter(traced(), "lines")

    def enter_part(self, part: str, do: str, *arguments: Any) -> None:
        """Enter the block of a method of a part."""
        self.enter(getattr(self._parts[part], do)(*arguments))

    def enter(self, block: Any, name: str = "") -> None:
        """Enter a block."""
        self._parts[name] = block.__enter__()
        self._entered.append(block)

    def leave(self) -> None:
        """Leave the block that was entered last."""
        self._entered.pop().__exit__(None, None, None)

    def fill_up_for(self, text: str) -> None:
        """As `Disk.fill_up_for`."""
        self.without_space = self._environment.disk.fill_up_for(text)

    def fail_statements(self, do: str, table: str, error: list[Any] | None, after: int) -> None:
        """As `Database.fail_queries` and `Database.fail_changes`."""
        made = made_error(error) if error is not None else None
        getattr(self._environment.database, do)(table, made, after=after)

    def collect(self, attribute: str) -> None:
        """As `Logs.collect`."""
        self._collected = self._environment.logs.collect(attribute)

    def collected(self) -> dict[str, list[dict[str, Any]]]:
        """What was collected."""
        found = []
        for record in self._collected[:10_000]:
            known = record.value is None or type(record.value) in (str, int, float, bool)
            value = record.value if known else repr(record.value)[:PRINTED]
            found.append({**vars(record), "text": record.text[:PRINTED], "value": value})
        return {"entries": found}

    def given_writes(self, name: str, text: str) -> None:
        """As `Given.writes`."""
        self.written = self._parts["given"].writes(name, text)

    def given_fails(self, name: str, error: list[Any], written: str) -> None:
        """As `Given.fails`."""
        self._parts["given"].fails(name, made_error(error), written)

    async def go_on(self, seconds: float) -> None:
        """Let everything go on for so long."""
        await until(lambda: False, seconds)

    def is_quiet(self) -> bool:
        """Whether every exchange that began has finished."""
        return all_quiet()

    # ----- a consumer of a queue

    def jobs_waiting(self) -> dict[str, list[dict[str, Any]]]:
        """As `Consumer.waiting`."""
        return {"entries": [_job(job) for job in self._parts["consumer"].waiting()[:1_000]]}

    def take_job(self) -> dict[str, list[dict[str, Any]]]:
        """As `Consumer.take`."""
        job = self._parts["consumer"].take()
        return {"entries": [_job(job)] if job is not None else []}

    async def deliver(self, name: str, message: bytes) -> None:
        """As `Consumer.deliver`."""
        await self._parts["consumer"].deliver(Job(name, (), None, message))

    def refuse_jobs(self, error: list[Any]) -> None:
        """As `Consumer.refuse_jobs`."""
        self._parts["consumer"].refuse_jobs(made_error(error))

    def job_errors(self) -> dict[str, list[dict[str, Any]]]:
        """As `Consumer.errors`."""
        return {"entries": [error_data(error) for error in self._parts["consumer"].errors[:100]]}

    def steps_of(self, number: int, changes: str) -> AsyncIterator[str]:
        """As `Steps.of`; the name of a part that gives the steps."""
        exchange = self._part("exchange", number)
        steps: AsyncIterator[str] = self._parts["steps"].of(exchange, changes=changes)
        return steps

    async def next_step(self, steps: str) -> str:
        """The next step; empty where there is none."""
        return str(await anext(self._parts[steps], ""))

    # ----- what a failure is explained with

    def tasks(self) -> dict[str, list[dict[str, Any]]]:
        """The background tasks that were made."""
        return {"entries": [_task(added) for added in self._environment.tasks.added[:1_000]]}

    def printed(self) -> str:
        """What the solution has printed."""
        found = []
        for stream in (sys.stdout, sys.stderr):
            kept = getattr(stream, "dojo_kept", None)
            if isinstance(kept, io.BytesIO):
                stream.flush()
                found.append(kept.getvalue()[: 4 * PRINTED].decode("utf-8", "replace"))
        return "".join(found)[:PRINTED]


def _job(job: Job) -> dict[str, Any]:
    return {
        "name": job.name[:PRINTED],
        "arguments": [_data(value) for value in job.arguments],
        "message": job.message,
    }


def _data(value: Any) -> Any:
    """Plain data as it is, and None for anything else."""
    if isinstance(value, list | tuple):
        return [_data(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): _data(entry) for key, entry in value.items()}
    return value if value is None or type(value) in PLAIN else {"object": type(value).__name__}


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

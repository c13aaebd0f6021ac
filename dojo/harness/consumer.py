"""A consumer of a solution's job queue: another process, which a spec runs step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any

from dojo.doubles.jobs import Jobs
from dojo.harness.current import ExchangeState, here, solution_threads
from dojo.harness.environment import Environment
from dojo.harness.holds import until

ENDLESS = 20
PATIENCE = 0.5


@dataclass(frozen=True)
class Job:
    """A job that waits: the function's name, its arguments, when it is due, and its message."""

    name: str
    arguments: tuple[Any, ...]
    at: datetime | None
    message: bytes


class Consumer:
    """Takes jobs out of the queue `kata.queue` and runs them, each when it is asked to.

    It loads the solution anew, as another process does: nothing of the web process's memory is
    there. `errors` are the exceptions that came out of jobs.
    """

    __slots__ = ("_environment", "_jobs", "_load", "_module", "errors")

    def __init__(self, environment: Environment, load: Callable[[], ModuleType]) -> None:
        self.errors: list[BaseException] = []
        self._environment = environment
        self._jobs: Jobs = environment.jobs
        self._load = load
        self._module: ModuleType | None = None

    @property
    def _queue(self) -> Any:
        if self._module is None:
            self._module = self._load()
            self._module.queue.signal("error")(self._note_error)
        return self._module.queue

    def _note_error(self, _signal: str, _task: object, error: BaseException) -> None:
        self.errors.append(error)

    def start_again(self) -> None:
        """Be another process from now on: the solution is loaded anew."""
        self._module = None

    def refuse_jobs(self, error: Exception) -> None:
        """From now on the queue takes no job: to put one into it fails with `error`."""
        self._jobs.refused = error

    def accept_jobs(self) -> None:
        """From now on the queue takes jobs again."""
        self._jobs.refused = None

    def waiting(self) -> list[Job]:
        """The jobs in the queue, and then those that are due later."""
        storage = self._queue.storage
        messages = [*storage.enqueued_items(), *storage.scheduled_items()]
        return [self._read(bytes(message)) for message in messages]

    def take(self) -> Job | None:
        """Take the next job out of the queue that is due by now, if there is one."""
        queue = self._queue
        for task in queue.read_schedule():
            queue.storage.enqueue(queue.serialize_task(task), task.priority)
        while (task := queue.dequeue()) is not None:
            if queue.ready_to_run(task):
                return self._read(queue.serialize_task(task))
            queue.add_schedule(task)  # as `execute` does with a job that was put off
        return None

    async def deliver(self, job: Job) -> None:
        """Run a job in a worker thread, as a consumer does; it can be delivered more than once."""
        queue, timeline = self._queue, self._environment.timeline
        client = self._environment.client
        number = next(client.numbers) if client is not None else 1
        state = ExchangeState(number, f"the job {job.name}", responded=True)

        def run() -> None:
            here.set(state)
            timeline.record("job", job.name)
            queue.execute(queue.deserialize_task(job.message))

        timeline.under_way += 1
        try:
            await asyncio.to_thread(run)
        finally:
            timeline.under_way -= 1

    async def run(self) -> int:
        """Run all jobs that are due by now, one after the other; how many there were."""
        for number in range(ENDLESS):
            job = self.take()
            if job is None:
                return number
            await self.deliver(job)
        raise AssertionError(f"the queue is not empty after {ENDLESS} jobs: they add new ones")

    async def taken_by_others(self) -> list[str]:
        """What in the web process has taken jobs, or has started to take them."""
        if solution_threads():
            await until(lambda: bool(self._jobs.taken), PATIENCE)
        return list(self._jobs.taken)

    def _read(self, message: bytes) -> Job:
        task = self._queue.deserialize_task(message)
        arguments = (*task.args, *task.kwargs.values())
        return Job(task.name, arguments, task.eta, message)

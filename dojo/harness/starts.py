"""The replacements of the calls that start something: a task, a thread, a job of an executor."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import contextvars
import functools
import threading
from collections.abc import Coroutine
from typing import Any

from dojo.harness import loop_time
from dojo.harness.current import (
    bound,
    by_the_solution,
    current_timeline,
    origin,
    task_works_for,
    work_for,
    works_for_the_app,
)
from dojo.harness.spawned import SpawnedWork, current_work, started_by

HEAD_START = 0.1


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Watch the tasks and executor jobs that are started on `loop`."""
    factory = loop.get_task_factory()

    def create(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Future[Any]:
        started = started_by("an asyncio task") if current_timeline() and factory is None else ""
        if started and options.get("context") is None:
            options["context"] = contextvars.copy_context()
            options["context"].run(origin.set, started)
        task: asyncio.Future[Any] = (
            factory(loop, coroutine, **options)
            if factory
            else asyncio.Task(coroutine, loop=loop, **options)
        )
        work = current_work()
        if work is not None:
            work.add("an asyncio task", task.done, in_thread=False)
            if isinstance(task, asyncio.Task):
                task_works_for(task, work.state)
        return task

    loop.set_task_factory(create)  # type: ignore[arg-type]
    loop.time = loop_time.now  # type: ignore[method-assign]
    run_in_executor = loop.run_in_executor

    @functools.wraps(run_in_executor)
    def watched(executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        work = current_work()
        if work is None:
            return run_in_executor(executor, func, *args)
        future = _JobFuture(loop=loop)
        may_go = work.may_go
        inherited, started = origin.get(), started_by("a job of an executor")
        _direct.skip = True

        def late() -> Any:
            _give_head_start(may_go, future.awaited)
            origin.set(inherited or ("" if future.awaited.is_set() else started))
            return func(*args)

        try:
            job = run_in_executor(executor, late)
        finally:
            _direct.skip = False
        future.follow(job)
        work.add("a job of an executor", future.done, in_thread=True)
        return future

    loop.run_in_executor = watched  # type: ignore[method-assign,assignment]


class _JobFuture(asyncio.Future[Any]):
    """The future of a job of an executor, which knows whether somebody waits for it."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.awaited = threading.Event()
        self._job: asyncio.Future[Any] | None = None

    def add_done_callback(self, *args: Any, **options: Any) -> None:
        self.awaited.set()
        super().add_done_callback(*args, **options)

    def cancel(self, msg: Any | None = None) -> bool:
        if self._job is not None:
            self._job.cancel(msg)
        return super().cancel(msg)

    def follow(self, job: asyncio.Future[Any]) -> None:
        """Take over what becomes of `job`."""
        self._job = job
        job.add_done_callback(self._take_over)

    def _take_over(self, job: asyncio.Future[Any]) -> None:
        if job.cancelled():
            super().cancel()
        elif self.done():
            return
        elif (error := job.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(job.result())


def _give_head_start(may_go: threading.Event, awaited: threading.Event) -> None:
    """Let a job begin when somebody waits for it, the spec has looked, or 0.1 s is over."""
    for _ in range(int(HEAD_START / 0.002)):
        if may_go.is_set() or awaited.wait(0.002):
            break


class _Direct(threading.local):
    skip = False


_direct = _Direct()
_start = threading.Thread.start
_join = threading.Thread.join
_submit = concurrent.futures.ThreadPoolExecutor.submit


@functools.wraps(_start)
def start_thread(self: threading.Thread) -> None:
    """In place of `Thread.start`."""
    if current_timeline() is None:
        return _start(self)
    # The process must not wait for a thread that never ends.
    self.daemon = True
    work = current_work()
    if bound() is None:
        if by_the_solution():
            works_for_the_app(self)
    elif work is not None and not _is_pool_worker(self):
        _delay(self, work)
    _start(self)


@functools.wraps(_join)
def join_thread(self: threading.Thread, timeout: float | None = None) -> None:
    """In place of `Thread.join`: a thread that is waited for begins at once."""
    waited_for: threading.Event | None = getattr(self, "dojo_waited_for", None)
    if waited_for is not None:
        waited_for.set()
    _join(self, timeout)


def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
    """In place of `ThreadPoolExecutor.submit`."""
    work = current_work()
    if work is None:
        return _submit(self, fn, *args, **kwargs)
    direct = not _direct.skip
    started = started_by("a job of an executor") if direct else ""

    def job() -> Any:
        work_for(work.state)
        origin.set(started)
        try:
            if direct:
                work.may_go.wait(HEAD_START / 10)
            return fn(*args, **kwargs)
        finally:
            work_for(None)
            origin.set("")

    future = _submit(self, job)
    if direct:
        work.add("a job of an executor", future.done, in_thread=True)
    return future


def _note_error(error: Exception) -> None:
    """Note what ended a thread: else there is only Python's traceback, through this file."""
    timeline = current_timeline()
    if timeline is not None:
        timeline.record("raised", f"{type(error).__name__}: {error}"[:120])
        timeline.note_error(error, "ended a thread, where nobody saw it")


def _is_pool_worker(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None)
    return (
        thread.name == "AnyIO worker thread"
        or getattr(target, "__module__", "") == concurrent.futures.thread.__name__
    )


def _delay(thread: threading.Thread, work: SpawnedWork) -> None:
    """Let a thread begin only when somebody waits for it, the spec has looked, or 0.1 s is over.

    One that is not waited for is then always still there when the exchange finishes, not only on
    slow machines.
    """
    waited_for = threading.Event()
    thread.dojo_waited_for = waited_for  # type: ignore[attr-defined]
    run = thread.run
    may_go = work.may_go
    started = started_by("a thread")

    def later() -> None:
        _give_head_start(may_go, waited_for)
        work_for(work.state)
        origin.set(started)
        try:
            run()
        except Exception as error:  # noqa: BLE001
            _note_error(error)
        finally:
            work_for(None)

    thread.run = later  # type: ignore[method-assign]
    work.add("a thread", lambda: not thread.is_alive(), in_thread=True)

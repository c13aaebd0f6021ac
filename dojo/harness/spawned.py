"""What a solution starts by itself: asyncio tasks, threads, jobs of an executor.

They are watched for two reasons. Work started in an endpoint may or may not come before the
solution: at each `send` it gets its chance, so that a race is always lost where the spec looks. And
nothing may be left behind when the exchange has finished.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import concurrent.futures.thread
import contextvars
import functools
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread

from dojo.harness.current import (
    ExchangeState,
    bound,
    by_the_solution,
    current_timeline,
    origin,
    task_works_for,
    work_for,
    works_for_the_app,
)
from dojo.harness.frames import at, callers, is_learners, module_of, places_here, where
from dojo.harness.holds import clock, held_threads, real_pause, turns, until

HEAD_START = 0.1
PATIENCE = 0.3
STARTERS = ("anyio", "asyncio", "concurrent", "dojo", "threading")


@dataclass
class SpawnedJob:
    """Something an exchange started: what it is, where, and whether it has ended."""

    what: str
    where: str
    ended: Callable[[], bool]
    in_thread: bool


@dataclass
class SpawnedWork:
    """All that one exchange started."""

    borrowed: int = 0
    jobs: list[SpawnedJob] = field(default_factory=list)
    may_go: threading.Event = field(default_factory=threading.Event)

    def add(self, what: str, ended: Callable[[], bool], *, in_thread: bool) -> None:
        self.jobs.append(SpawnedJob(what, _where(), ended, in_thread))

    def left_behind(self) -> list[str]:
        return [f"{s.what} started {s.where}" for s in self.jobs if not s.ended()]


_work_of: dict[int, SpawnedWork] = {}


def expect(state: ExchangeState) -> None:
    """Start to watch an exchange; to be called on its event loop."""
    _work_of[state.number] = SpawnedWork(_borrowed())


def forget() -> None:
    """Stop to watch, once what runs in threads has ended: it must not go on into the next spec."""
    for work in _work_of.values():
        work.may_go.set()
    end = clock() + PATIENCE
    while any(s.in_thread and not s.ended() for b in _work_of.values() for s in b.jobs):
        if clock() > end:
            break
        real_pause(0.001)
    _work_of.clear()


def left_behind(state: ExchangeState) -> list[str]:
    """What the exchange started and what has not ended, looked at in the very turn in which the
    app returned."""
    work = _work_of[state.number]
    left = work.left_behind()
    work.may_go.set()
    return left


async def settle(state: ExchangeState) -> None:
    """Give all that the exchange has started the chance to do its work now.

    Some turns for tasks and, only where threads are at work for it, as long as they need, 0.3 s at
    most.
    """
    await turns()
    work = _work_of[state.number]
    work.may_go.set()

    def at_rest() -> bool:
        busy = any(job.in_thread and not job.ended() for job in work.jobs)
        return not busy and _borrowed() <= max(work.borrowed, held_threads())

    if not at_rest():
        await until(at_rest, PATIENCE)
        await turns()
    work.may_go.clear()


def _borrowed() -> int:
    return anyio.to_thread.current_default_thread_limiter().borrowed_tokens


def _where() -> str:
    places = places_here()
    return f"at {at(places[0])}" if places else "by a library"


def _started(what: str) -> str:
    """What a solution starts itself, in words; empty where it is a library that does so for it."""
    for frame in callers():
        if is_learners(frame):
            return f"{what} that was started at {at(where(frame))}"
        if module_of(frame).partition(".")[0] not in STARTERS:
            break
    return ""


def _current_work() -> SpawnedWork | None:
    state = bound() if current_timeline() else None
    return _work_of.get(state.number) if state else None


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Watch the tasks and executor jobs that are started on `loop`."""
    factory = loop.get_task_factory()

    def create(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Future[Any]:
        started = _started("an asyncio task") if current_timeline() and factory is None else ""
        if started and options.get("context") is None:
            options["context"] = contextvars.copy_context()
            options["context"].run(origin.set, started)
        task: asyncio.Future[Any] = (
            factory(loop, coroutine, **options)
            if factory
            else asyncio.Task(coroutine, loop=loop, **options)
        )
        state = bound() if current_timeline() else None
        work = _current_work()
        if state is not None and work is not None:
            work.add("an asyncio task", task.done, in_thread=False)
            if isinstance(task, asyncio.Task):
                task_works_for(task, state)
        return task

    loop.set_task_factory(create)  # type: ignore[arg-type]
    loop.time = lambda: clock() + _ahead  # type: ignore[method-assign]
    run_in_executor = loop.run_in_executor

    @functools.wraps(run_in_executor)
    def watched(executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        work = _current_work()
        if work is None:
            return run_in_executor(executor, func, *args)
        future = _JobFuture(loop=loop)
        may_go = work.may_go
        inherited, started = origin.get(), _started("a job of an executor")
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
    """Let a job begin when somebody waits for it, or the spec has looked, or 0.1 s have passed."""
    for _ in range(int(HEAD_START / 0.002)):
        if may_go.is_set() or awaited.wait(0.002):
            break


_ahead = 0.0


def let_time_limits_run_out() -> None:
    """Put the event loop's clock on by an hour: every `asyncio.timeout` and `wait_for` is over."""
    put_loops_on(3600.0)


def put_loops_on(seconds: float) -> None:
    """Put the clock of every event loop on."""
    global _ahead
    _ahead += seconds


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
    state = bound()
    if state is None:
        if by_the_solution():
            works_for_the_app(self)
    elif not _is_pool_worker(self):
        _delay(self, state)
    _start(self)


@functools.wraps(_join)
def join_thread(self: threading.Thread, timeout: float | None = None) -> None:
    """In place of `Thread.join`: a thread that is waited for begins at once."""
    waited_for: threading.Event | None = getattr(self, "_dojo_waited_for", None)
    if waited_for is not None:
        waited_for.set()
    _join(self, timeout)


def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
    """In place of `ThreadPoolExecutor.submit`."""
    state = bound() if current_timeline() else None
    work = _current_work()
    if state is None or work is None:
        return _submit(self, fn, *args, **kwargs)
    direct = not _direct.skip
    started = _started("a job of an executor") if direct else ""

    def job() -> Any:
        work_for(state)
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
    """Show what ends a thread: nobody else would, but Python's own traceback through this file."""
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


def _delay(thread: threading.Thread, state: ExchangeState) -> None:
    """Let a thread begin only when somebody waits for it, or the spec has looked, or 0.1 s have
    passed.

    One that nobody waits for is then always still there when the exchange finishes, not only on
    slow machines.
    """
    work = _current_work()
    if work is None:
        return
    waited_for = threading.Event()
    thread._dojo_waited_for = waited_for  # type: ignore[attr-defined]
    run = thread.run
    may_go = work.may_go
    started = _started("a thread")

    def later() -> None:
        _give_head_start(may_go, waited_for)
        work_for(state)
        origin.set(started)
        try:
            run()
        except Exception as error:
            _note_error(error)
        finally:
            work_for(None)

    thread.run = later  # type: ignore[method-assign]
    work.add("a thread", lambda: not thread.is_alive(), in_thread=True)

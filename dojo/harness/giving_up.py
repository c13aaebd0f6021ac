"""Give up what does not end: tasks that cannot be cancelled, threads that do not stop."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from asyncio.tasks import _unregister_task
from concurrent.futures.thread import _threads_queues
from typing import Any

from dojo.harness.frames import of_threads, places_in

PATIENCE = 0.25


class ThreadStoppedError(SystemExit):
    """Ends a thread without a word."""


def stop_threads() -> None:
    """Ask every thread that runs a solution to end: an endless loop takes time from later specs."""
    for ident, top in of_threads().items():
        if ident != threading.main_thread().ident and next(places_in(top), None):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(ident), ctypes.py_object(ThreadStoppedError)
            )


def give_up_threads(before: set[threading.Thread]) -> None:
    """Ask threads to stop that were started since `before`, and have nothing wait for them.

    One that waits in the system lives as long as the process.
    """
    left = [thread for thread in threading.enumerate() if thread not in before]
    if not left:
        return
    stop_threads()
    for thread in left:
        # The interpreter joins the workers of all pools when it exits.
        _threads_queues.pop(thread, None)  # type: ignore[attr-defined]


async def give_up_tasks(before: set[asyncio.Task[Any]]) -> None:
    """Cancel all tasks that were started since `before`, and abandon those that do not end."""
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    for task in left:
        task.cancel()
    try:
        if left:
            await asyncio.wait(left, timeout=PATIENCE)
    finally:
        for task in left:
            if not task.done():
                abandon(task)


def abandon(task: asyncio.Task[Any]) -> None:
    """Let a task that cannot be cancelled live as long as the process, unknown to its loop.

    A loop that is closed waits for the tasks that it knows, and a task that is thrown away before
    its end protests.
    """
    _unregister_task(task)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))

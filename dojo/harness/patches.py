"""Every process-wide patch, with its reason: applied while a spec runs, and undone after it.

The replacements stand in the modules that they belong to. While no spec runs they do what the
originals do: a module that a solution is the first to import may keep one.

Three changes are not here. The audit hook (`dojo.observers.audit`) cannot be removed, so it is
quiet while no spec runs. freezegun (`dojo.doubles.clock`) and the tracing of lines
(`dojo.harness.lines`) are in force only inside the `with` block of a fixture.
"""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import csv
import functools
import io
import logging
import os
import socket
import sqlite3
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import fastapi.routing
import httpcore
import pydantic.networks
from starlette.background import BackgroundTask

from dojo.doubles import clock, http, jobs, network
from dojo.harness import endpoints, starts, tasks
from dojo.observers import (
    audit,
    connections,
    file_calls,
    file_events,
    images,
    logs,
    sql,
    tables,
)

_NOTHING = object()


class Change(Protocol):
    """Something that is changed in the process, and can be changed back."""

    def apply(self) -> None:
        """Change it."""

    def undo(self) -> None:
        """Change it back."""


@dataclass
class Patch:
    """An attribute of a module or a class, what takes its place, and why."""

    place: Any
    name: str
    replacement: Any
    reason: str
    before: Any = _NOTHING

    def apply(self) -> None:
        """Put the replacement in its place.

        Also into the sets of `os` that say what a function can do.
        """
        self.before = vars(self.place).get(self.name, _NOTHING)
        for able in _ABLE if self.place is os else ():
            if self.before in able:
                able.add(self.replacement)
        setattr(self.place, self.name, self.replacement)

    def undo(self) -> None:
        """Put back what was there, whatever is there now."""
        if self.before is _NOTHING:  # inherited
            delattr(self.place, self.name)
        else:
            setattr(self.place, self.name, self.before)
        for able in _ABLE if self.place is os else ():
            able.discard(self.replacement)


_ABLE: tuple[set[Any], ...] = (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks)


@dataclass
class Listener:
    """A function that SQLAlchemy calls at an event of all objects of a class, and why."""

    target: Any
    event: str
    function: Any
    reason: str

    def apply(self) -> None:
        """Begin to listen."""
        from sqlalchemy import event

        event.listen(self.target, self.event, self.function)

    def undo(self) -> None:
        """Listen no more."""
        from sqlalchemy import event

        event.remove(self.target, self.event, self.function)


def _existing(place: Any, names: Iterable[str], wrap: Any, reason: str) -> tuple[Patch, ...]:
    """A patch for each name that this system has: Windows lacks some."""
    return tuple(
        Patch(place, name, wrap(getattr(place, name)), reason)
        for name in names
        if hasattr(place, name)
    )


ALWAYS: tuple[Patch, ...] = (
    # What a solution starts by itself.
    Patch(
        threading.Thread,
        "start",
        starts.start_thread,
        "a thread knows its exchange, begins late, and is missed where it is left behind",
    ),
    Patch(
        threading.Thread,
        "join",
        starts.join_thread,
        "a thread that somebody waits for begins at once",
    ),
    Patch(
        concurrent.futures.ThreadPoolExecutor,
        "submit",
        starts.submit,
        "a job of an executor knows its exchange, as a thread does",
    ),
    Patch(
        BackgroundTask,
        "__init__",
        tasks.make,
        "a failure names the task that was made and never ran, and its line",
    ),
    Patch(BackgroundTask, "__call__", tasks.run, "a background task that has run is known"),
    # Files. An audit hook sees most; these have no audit event.
    Patch(
        builtins, "open", file_calls.open_noted, "each write to an open file is noted, and can fail"
    ),
    Patch(io, "open", file_calls.open_noted, "`pathlib` opens files by this name"),
    Patch(
        io,
        "text_encoding",
        file_calls.text_encoding,
        "`pathlib` asks it for the encoding of a locale",
    ),
    Patch(os, "open", file_calls.open_descriptor, "a descriptor is known by the name of its file"),
    *_existing(
        os,
        ("stat", "lstat", "access"),
        file_calls.looking,
        "to look at a file keeps the event loop busy",
    ),
    *_existing(
        os,
        ("write", "writev", "pwrite", "pwritev", "sendfile"),
        file_calls.writing,
        "what is written to a descriptor is noted, and can fail",
    ),
    *(
        Patch(place, "connect", connections.connect, "a connection past the engine is observed")
        for place in (sqlite3, sqlite3.dbapi2)
    ),
    *_existing(
        csv, ("reader", "writer"), tables.noted, "to take a table apart keeps the event loop busy"
    ),
    # Time.
    Patch(time, "sleep", clock.time_sleep, "a sleep moves the clock of a spec and takes no time"),
    Patch(asyncio, "sleep", clock.asyncio_sleep, "the same for asyncio"),
    Patch(anyio, "sleep", clock.anyio_sleep, "the same for AnyIO"),
    *_existing(
        time,
        clock.STOP_WATCHES,
        clock.stop_watch,
        "a spec puts stop-watches on together with the clock",
    ),
    # The network.
    Patch(
        socket.socket, "connect", network.connect, "connections to the mail server reach the double"
    ),
    Patch(socket.socket, "connect_ex", network.connect_ex, "the same where an error is a number"),
    Patch(
        socket,
        "getfqdn",
        network.getfqdn,
        "smtplib asks for this machine's name, which takes seconds where name servers are slow",
    ),
    *(
        Patch(place, name, http.mocked(getattr(place, name)), "respx replies instead of a service")
        for place, name in (
            (httpcore.HTTPConnection, "handle_request"),
            (httpcore.ConnectionPool, "handle_request"),
            (httpcore.AsyncHTTPConnection, "handle_async_request"),
            (httpcore.AsyncConnectionPool, "handle_async_request"),
        )
    ),
    Patch(
        ssl,
        "create_default_context",
        functools.cache(ssl.create_default_context),
        "each httpx client reads all root certificates: 20 ms that no spec needs again and again",
    ),
    # Not by a handler: a solution that configures logging would take it away.
    Patch(logging.Logger, "callHandlers", logs.call_handlers, "what is logged is noted"),
    # What a library does again for each spec, and need not.
    *_existing(
        pydantic.networks,
        ("version",),
        functools.cache,
        "the version of email-validator is looked for once, and not for each `EmailStr`",
    ),
    *_existing(
        fastapi.routing,
        ("_extract_endpoint_context",),
        endpoints.placed,
        "the line of an endpoint is known without reading its file",
    ),
)


@functools.cache
def _pillow() -> tuple[Patch, ...]:
    from PIL import Image, ImageFile

    reason = "image work keeps the event loop busy"
    return (
        Patch(
            ImageFile.ImageFile,
            "load",
            images.loading(ImageFile.ImageFile.load),
            "here pixels are decoded",
        ),
        Patch(Image, "open", images.noted("open", Image.open), reason),
        *(
            Patch(Image.Image, name, images.noted(name, getattr(Image.Image, name)), reason)
            for name in images.WORK
        ),
    )


@functools.cache
def _sqlalchemy() -> tuple[Listener, ...]:
    from sqlalchemy import Engine, Pool

    return (
        Listener(
            Engine, "do_connect", connections.about_to_connect, "its connections are observed ones"
        ),
        Listener(Pool, "checkout", sql.checked_out, "pools left open are closed after a spec"),
    )


@functools.cache
def _huey() -> tuple[Patch, ...]:
    from huey import api, utils  # type: ignore[import-untyped]
    from huey.api import Huey  # type: ignore[import-untyped]
    from huey.consumer import Consumer  # type: ignore[import-untyped]

    reason = "the web process must leave jobs to a consumer, which a spec runs itself"
    return (
        Patch(
            Huey,
            "enqueue",
            jobs.enqueuing(Huey.enqueue),
            "what is put into the queue is noted, and can be refused",
        ),
        *(
            Patch(place, "utcnow", jobs.utcnow, "the queue goes by the clock of the spec")
            for place in (api, utils)
        ),
        Patch(Huey, "dequeue", jobs.taking(Huey.dequeue), reason),
        Patch(Consumer, "start", jobs.taking(Consumer.start), reason),
        Patch(Consumer, "run", jobs.taking(Consumer.run), reason),
    )


# Libraries that take long to import: patched only where a solution names them.
WHERE_NAMED: dict[bytes, Callable[[], tuple[Change, ...]]] = {
    b"sqlalchemy": _sqlalchemy,
    b"PIL": _pillow,
    b"huey": _huey,
}

_applied: dict[int, Change] = {}
_users = 0


@contextmanager
def applied() -> Iterator[None]:
    """Apply the patches for a block, and undo them after it; in a block inside it they stay."""
    global _users
    _users += 1
    try:
        _apply(ALWAYS)
        yield
    finally:
        _users -= 1
        while _applied and not _users:
            _applied.popitem()[1].undo()


def apply_for(source: bytes) -> None:
    """Patch the libraries that a solution with this source uses, until the block is over."""
    for name, changes in WHERE_NAMED.items():
        if name in source:
            _apply(changes())


def apply_all() -> None:
    """Apply all patches for as long as the process lives."""
    global _users
    _users += 1
    _apply(ALWAYS)
    apply_for(b" ".join(WHERE_NAMED))


def _apply(changes: Iterable[Change]) -> None:
    tempfile.gettempdir()  # it tries out where it can write, which no spec must see
    audit.listen({**file_events.EVENTS, **network.EVENTS, "mmap.__new__": file_calls.mapping})
    for change in changes:
        if id(change) not in _applied:
            change.apply()
            _applied[id(change)] = change

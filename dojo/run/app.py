"""The app that the server runs: a solution with the observers and doubles of the specs around it.

uvicorn imports this module in a process of its own, and anew each time that the file is saved. What
is changed in that process stays so until it ends.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import multiprocessing
import os
import shutil
import threading
from datetime import datetime
from pathlib import Path

from dojo import streams
from dojo.catalogue import read_catalogue
from dojo.doubles import clock, http, jobs, mail
from dojo.harness import current, frames, patches
from dojo.harness.asgi import App, Message, Receive, Scope, Send, record_exchange
from dojo.harness.current import ExchangeState
from dojo.harness.environment import loaded
from dojo.observers import files, images, sql
from dojo.observers.logs import logging_observed
from dojo.run.live import LiveTimeline, ShownDisk, ShownLogs
from dojo.run.settings import Settings, handed_over
from dojo.run.stand_ins import MAIL, SlowMailServer, StandIns
from dojo.solutions import SolutionLoadError

# What a browser asks for by itself, and what `/docs` is made of.
SILENT = ("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/favicon.ico")
PATIENCE = 2.0
_until_the_end = contextlib.ExitStack()


def make() -> App:
    """Load the solution, and put everything around it."""
    settings = handed_over()
    streams.make_safe()
    os.chdir(settings.directory)
    _end_with_the_supervisor(settings)
    frames.show_from(Path(settings.typed_in))
    timeline = LiveTimeline()
    # Else Python would undo it only when it has no modules left.
    atexit.register(_until_the_end.close)
    _observe(settings, timeline)
    kata = read_catalogue(Path(settings.root))[settings.kata]
    file = Path(settings.file)
    try:
        module = _until_the_end.enter_context(loaded(kata, file))
    except SolutionLoadError as error:
        print(f"{error}\n  Save it again when it is fixed.", flush=True)
        return _Broken(str(error))
    print(f"{datetime.now():%H:%M:%S} loaded {frames.shown(file)}: {settings.url}", flush=True)
    return _Recorded(module.app, timeline, supervised=settings.supervised)


def _observe(settings: Settings, timeline: LiveTimeline) -> None:
    """Make the environment of a spec, in which time passes as it does."""
    directory = Path(settings.directory)
    _until_the_end.enter_context(patches.applied())
    _until_the_end.enter_context(logging_observed(ShownLogs(timeline)))
    clock.run_in_real_time()
    current.use(timeline)
    sql.use(sql.Database(directory))
    files.use(ShownDisk(directory))
    images.use(images.ImageDecoder())
    jobs.use(jobs.Jobs())
    http.use(StandIns(settings.slow, settings.fail))
    if MAIL not in settings.fail:  # nothing listens then, for the consumer of a queue either
        mail.start(settings.mail_port)
    mail.use(SlowMailServer(settings.slow.get(MAIL, 0.0), fails=MAIL in settings.fail))


class _Recorded:
    """An app, each request of which is an exchange on the timeline."""

    def __init__(self, app: App, timeline: LiveTimeline, *, supervised: bool) -> None:
        self._app = app
        self._timeline = timeline
        self._supervised = supervised
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" and self._supervised:
            await self._start_up(scope, _until_shutdown(receive), send)
        elif scope["type"] != "http" or scope["path"] in SILENT:
            await self._app(scope, receive, send)
        else:
            await self._exchange(scope, receive, send)

    async def _start_up(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the app start up; where it fails, serve the reason until the next save."""
        failed = False

        async def noting(message: Message) -> None:
            nonlocal failed
            failed = failed or message["type"] == "lifespan.startup.failed"
            if not failed:
                await send(message)

        why = "the app does not start up"
        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if not failed:
                raise
            why += f": {type(error).__name__}, {error}"
            traceback = frames.traceback_of(error)
            if traceback is not None:
                self._timeline.add_traceback(traceback)
        if failed:
            print(f"{why}\n  Save it again when it is fixed.", flush=True)
            self._app = _Broken(why)
            # A server whose app has not started would end, and let its clients wait.
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = ExchangeState(next(self._numbers))
        try:
            await record_exchange(self._app, state, self._timeline, scope, receive, send)
        except asyncio.CancelledError:
            self._timeline.record("cut off", "the server ended", by=state)
        except Exception as error:
            traceback = frames.traceback_of(error)
            if traceback is None or not state.responded:
                raise
            # The server would show it with all the frames of the framework.
            self._timeline.add_traceback(traceback)


class _Broken:
    """In place of an app that does not load or start up."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": f"{self._why}\n".encode()})


def _end_with_the_supervisor(settings: Settings) -> None:
    """End, and remove the folder, where the process that started this one was killed."""
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        return

    def wait() -> None:
        supervisor.join()
        if not settings.keep:
            shutil.rmtree(settings.directory, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _until_shutdown(receive: Receive) -> Receive:
    """`receive`, after whose last message the process has two seconds left."""

    async def noting() -> Message:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            # A thread that still waits for a slow mail server must not keep the terminal waiting.
            timer = threading.Timer(PATIENCE, os._exit, [0])
            timer.daemon = True
            timer.start()
        return message

    return noting

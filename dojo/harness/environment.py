"""The environment of one spec: an empty folder, a timeline, and a double for each service."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dojo import solutions
from dojo.catalogue import Kata
from dojo.doubles import http, jobs, mail, network
from dojo.harness import (
    current,
    giving_up,
    holds,
    patches,
    process,
    spawned,
    starts,
    tasks,
    timeline,
)
from dojo.harness.asgi import App
from dojo.harness.client import Client
from dojo.harness.exchange import Exchange
from dojo.harness.lifespan import running
from dojo.observers import files, images, sql
from dojo.observers.logs import Logs, logging_observed


@dataclass
class Environment:
    """All that a spec can look at."""

    directory: Path
    timeline: timeline.Timeline
    database: sql.Database
    disk: files.Disk
    mail_server: mail.MailServer
    services: http.Services
    image_decoder: images.ImageDecoder
    logs: Logs
    tasks: tasks.Tasks
    jobs: jobs.Jobs
    client: Client | None = None

    @property
    def exchanges(self) -> list[Exchange]:
        """The exchanges so far; none where the spec has no client."""
        return self.client.exchanges if self.client is not None else []


@contextmanager
def environment_in(directory: Path, **others: Any) -> Iterator[Environment]:
    """Make the environment of a spec, and undo it after the block.

    `directory` is the working directory meanwhile, `others` are parts in place of the usual ones.
    """
    before = Path.cwd()
    threads = set(threading.enumerate())
    with patches.applied(), process.put_back(), logging_observed() as logs:
        os.chdir(directory)
        parts: dict[str, Any] = {
            "timeline": timeline.Timeline(),
            "database": sql.Database(directory),
            "disk": files.Disk(directory),
            "mail_server": mail.MailServer(),
            "services": http.Services(),
            "image_decoder": images.ImageDecoder(),
            "tasks": tasks.Tasks(),
            "jobs": jobs.Jobs(),
        }
        environment = Environment(directory=directory, logs=logs, **{**parts, **others})
        current.use(environment.timeline)
        sql.use(environment.database)
        files.use(environment.disk)
        mail.use(environment.mail_server)
        http.use(environment.services)
        images.use(environment.image_decoder)
        tasks.use(environment.tasks)
        jobs.use(environment.jobs)
        try:
            yield environment
        finally:
            holds.release_all()
            spawned.forget()
            giving_up.give_up_threads(threads)
            sql.use(None)
            files.use(None)
            mail.use(None)
            http.use(None)
            images.use(None)
            tasks.use(None)
            jobs.use(None)
            current.use(None)
            os.chdir(before)


@contextmanager
def loaded(kata: Kata, file: Path) -> Iterator[ModuleType]:
    """Load a solution into the environment of a spec.

    Raises `solutions.SolutionLoadError`.
    """
    patches.apply_for(file.read_bytes() if file.is_file() else b"")
    network.loading(True)
    try:
        module = solutions.load_solution(kata, file)
    finally:
        network.loading(False)
    try:
        yield module
    finally:
        solutions.unload(module)


@asynccontextmanager
async def client_of(
    app: App, environment: Environment, kind: type[Client] = Client
) -> AsyncIterator[Client]:
    """A client, of this kind, of an app that has started up.

    After the block it ends what is still under way, and shuts the app down.
    """
    loop = asyncio.get_running_loop()
    starts.watch_loop(loop)
    tasks = asyncio.all_tasks()
    environment.client = kind(app, environment.timeline)
    with _pool_of_its_own(loop):
        try:
            async with running(app, environment.client.state):
                try:
                    yield environment.client
                finally:
                    holds.release_all()
                    await environment.client.close()
        finally:
            await giving_up.give_up_tasks(tasks)


@contextmanager
def _pool_of_its_own(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """A pool for `asyncio.to_thread` whose jobs are not waited for: one may never end."""
    pool = ThreadPoolExecutor(thread_name_prefix="asyncio")
    loop.set_default_executor(pool)
    try:
        yield
    finally:
        pool.shutdown(wait=False)
        loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))

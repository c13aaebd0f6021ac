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

    def changes(self) -> list[str]:
        """The changes that were made by hand while a spec ran, in words; there should be none.

        The grader asks: a solution could make its own timeline look right.
        """
        places = {self.directory, self.disk.directory, self.database.file.parent}
        moved = [] if len(places) == 1 else ["the folder of the spec was changed"]
        touched = [] if self.timeline.is_untouched() else ["the timeline was changed"]
        return [*moved, *touched]


@contextmanager
def environment_in(directory: Path) -> Iterator[Environment]:
    """Make the environment of a spec, and undo it after the block.

    `directory` is the working directory meanwhile.
    """
    before = Path.cwd()
    threads = set(threading.enumerate())
    with patches.applied(), process.put_back(), logging_observed() as logs:
        os.chdir(directory)
        environment = Environment(
            directory=directory,
            timeline=timeline.Timeline(),
            database=sql.Database(directory),
            disk=files.Disk(directory),
            mail_server=mail.MailServer(),
            services=http.Services(),
            image_decoder=images.ImageDecoder(),
            logs=logs,
            tasks=tasks.Tasks(),
            jobs=jobs.Jobs(),
        )
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
async def client_of(app: App, environment: Environment) -> AsyncIterator[Client]:
    """A client of an app that has started up.

    After the block it ends what is still under way, and shuts the app down.
    """
    loop = asyncio.get_running_loop()
    starts.watch_loop(loop)
    tasks = asyncio.all_tasks()
    environment.client = Client(app, environment.timeline)
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

"""The fixtures that specs are written with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import ModuleType

import pytest
import pytest_asyncio

from dojo.catalogue import Kata
from dojo.doubles import mail
from dojo.doubles.clock import Clock, Zone, frozen_clock
from dojo.doubles.http import Services
from dojo.doubles.mail import MailServer
from dojo.harness.client import Client
from dojo.harness.consumer import Consumer
from dojo.harness.environment import Environment, client_of, environment_in, loaded
from dojo.harness.given import Given
from dojo.harness.lifespan import running
from dojo.harness.lines import Lines, traced
from dojo.harness.steps import Steps
from dojo.harness.timeline import Timeline
from dojo.observers.files import Disk
from dojo.observers.images import ImageDecoder
from dojo.observers.logs import Logs
from dojo.observers.sql import Database
from dojo.solutions import SolutionLoadError, Solutions

KATA = pytest.StashKey[Kata]()
SOLUTIONS = pytest.StashKey[Solutions]()
ENVIRONMENT = pytest.StashKey[Environment]()


@pytest.fixture
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
    """The world of this spec, with an empty working directory."""
    with environment_in(tmp_path) as environment:
        request.node.stash[ENVIRONMENT] = environment
        yield environment


@pytest.fixture
def kata(request: pytest.FixtureRequest, environment: Environment) -> Iterator[ModuleType]:
    """The solution under test, loaded anew from the solutions tree in force."""
    kata, config = request.node.stash[KATA], request.config
    try:
        with loaded(kata, config.stash[SOLUTIONS].file(kata)) as module:
            yield module
    except SolutionLoadError as failure:
        raise failure.with_traceback(None) from None


@pytest_asyncio.fixture
async def client(kata: ModuleType, environment: Environment) -> AsyncIterator[Client]:
    """A client of the solution's app; each request is one exchange."""
    async with client_of(kata.app, environment) as client:
        yield client


class Restart:
    """A server that is started again: the solution is loaded anew, and so is its app."""

    __slots__ = ("_file", "_first", "_kata", "_running")

    def __init__(self, first: Client, kata: Kata, file: Path, running: AsyncExitStack) -> None:
        self._first = first
        self._kata = kata
        self._file = file
        self._running = running

    async def client(self) -> Client:
        """A client of the app as it is after a restart, with its start-up complete.

        The first process has died: what stopped at its response stays so.
        """
        self._first.timeline.record("restart", "the process died, and another one starts up")
        module = self._running.enter_context(loaded(self._kata, self._file))
        again = self._first.after_restart(module.app)
        await self._running.enter_async_context(running(module.app, again.state))
        return again


@pytest_asyncio.fixture
async def restart(request: pytest.FixtureRequest, client: Client) -> AsyncIterator[Restart]:
    """A server that can be started again."""
    kata = request.node.stash[KATA]
    async with AsyncExitStack() as stack:
        yield Restart(client, kata, request.config.stash[SOLUTIONS].file(kata), stack)


@pytest.fixture
def consumer(request: pytest.FixtureRequest, environment: Environment) -> Iterator[Consumer]:
    """A consumer of the solution's queue, which runs jobs when it is asked to."""
    kata, config = request.node.stash[KATA], request.config
    with ExitStack() as stack:
        yield Consumer(
            environment,
            lambda: stack.enter_context(loaded(kata, config.stash[SOLUTIONS].file(kata))),
        )


@pytest.fixture
def given(kata: ModuleType) -> Given:
    """The functions that the stub gives."""
    return Given(kata)


@pytest.fixture
def timeline(environment: Environment) -> Timeline:
    """The timeline of this spec: its events in order, each with its thread."""
    return environment.timeline


@pytest.fixture
def mail_server(environment: Environment) -> MailServer:
    """The stand-in mail server at `localhost:2525`."""
    mail.start()
    return environment.mail_server


@pytest.fixture
def services(environment: Environment) -> Services:
    """The stand-ins for HTTP services."""
    return environment.services


@pytest.fixture
def database(environment: Environment) -> Database:
    """`shop.db`, read through a connection of the spec's own."""
    return environment.database


@pytest.fixture
def disk(environment: Environment) -> Disk:
    """The working directory of this spec."""
    return environment.disk


@pytest.fixture
def image_decoder(environment: Environment) -> ImageDecoder:
    """The place where Pillow decodes pixels."""
    return environment.image_decoder


@pytest.fixture
def steps(environment: Environment) -> Steps:
    """The steps of a task: before each of them a spec can look at what it has done."""
    return Steps(environment)


@pytest.fixture
def zone() -> Zone:
    """The time zone of the machine."""
    return Zone()


@pytest.fixture
def lines(kata: ModuleType) -> Iterator[Lines]:
    """The lines of the solution that worker threads run.

    A spec has to ask for it before `client`.
    """
    with traced() as lines:
        yield lines


@pytest.fixture
def logs(environment: Environment) -> Logs:
    """The records that were logged to the logger `kata`."""
    return environment.logs


@pytest.fixture
def clock(kata: ModuleType) -> Iterator[Clock]:
    """A clock that stands still at 2026-01-15 12:00 UTC; a sleep only moves it on."""
    with frozen_clock() as clock:
        yield clock

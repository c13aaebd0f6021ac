"""The fixtures that specs are written with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType

import pytest
import pytest_asyncio

from dojo.catalogue import Kata
from dojo.doubles import mail as postboxes
from dojo.doubles.clock import Clock, Zone, frozen_clock
from dojo.doubles.http import Services
from dojo.doubles.mail import Postbox
from dojo.harness.environment import Stage, client_of, loaded, stage
from dojo.harness.exchange import Client
from dojo.harness.lifespan import running
from dojo.harness.lines import Lines, traced
from dojo.harness.steps import Steps
from dojo.harness.timeline import Timeline
from dojo.observers.files import Disk
from dojo.observers.images import Darkroom
from dojo.observers.logs import Logs
from dojo.observers.sql import Database
from dojo.solutions import DoesNotLoad, Solutions

KATA = pytest.StashKey[Kata]()
SOLUTIONS = pytest.StashKey[Solutions]()
STAGE = pytest.StashKey[Stage]()


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """The stage of this spec, with an empty working directory."""
    with stage(tmp_path) as scene:
        request.node.stash[STAGE] = scene
        yield scene


@pytest.fixture
def kata(request: pytest.FixtureRequest, scene: Stage) -> Iterator[ModuleType]:
    """The solution under test, loaded anew from the solutions tree in force."""
    kata, config = request.node.stash[KATA], request.config
    try:
        with loaded(kata, config.stash[SOLUTIONS].file(kata)) as module:
            yield module
    except DoesNotLoad as failure:
        raise failure.with_traceback(None) from None


@pytest_asyncio.fixture
async def client(kata: ModuleType, scene: Stage) -> AsyncIterator[Client]:
    """A client that drives one exchange a request with the solution's app."""

    async with client_of(kata.app, scene) as client:
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
        """A client of the app as it is after a restart."""
        module = self._running.enter_context(loaded(self._kata, self._file))
        again = Client(module.app, self._first.timeline)
        again.numbers, again.exchanges = self._first.numbers, self._first.exchanges
        await self._running.enter_async_context(running(module.app, again.state))
        return again


@pytest_asyncio.fixture
async def restart(request: pytest.FixtureRequest, client: Client) -> AsyncIterator[Restart]:
    """What starts the server of this spec again."""
    kata = request.node.stash[KATA]
    async with AsyncExitStack() as stack:
        yield Restart(client, kata, request.config.stash[SOLUTIONS].file(kata), stack)


@pytest.fixture
def timeline(scene: Stage) -> Timeline:
    """What happened in this spec, in order, and on which thread."""
    return scene.timeline


@pytest.fixture
def postbox(scene: Stage) -> Postbox:
    """The stand-in mail server at `localhost:2525`."""
    postboxes.start()
    return scene.postbox


@pytest.fixture
def services(scene: Stage) -> Services:
    """The stand-ins for HTTP services."""
    return scene.services


@pytest.fixture
def database(scene: Stage) -> Database:
    """`shop.db`, read through a connection of the spec's own."""
    return scene.database


@pytest.fixture
def disk(scene: Stage) -> Disk:
    """The working directory of this spec."""
    return scene.disk


@pytest.fixture
def darkroom(scene: Stage) -> Darkroom:
    """Where Pillow decodes pixels."""
    return scene.darkroom


@pytest.fixture
def steps(scene: Stage) -> Steps:
    """The steps of a task, at each of which somebody else can look at what it has done."""
    return Steps(scene)


@pytest.fixture
def zone() -> Zone:
    """The time zone of the machine."""
    return Zone()


@pytest.fixture
def lines(kata: ModuleType) -> Iterator[Lines]:
    """The lines of the solution that worker threads execute; to be asked for before `client`."""
    with traced() as lines:
        yield lines


@pytest.fixture
def logs(scene: Stage) -> Logs:
    """What was logged to the logger `kata`."""
    return scene.logs


@pytest.fixture
def clock(kata: ModuleType) -> Iterator[Clock]:
    """Time that stands still at 2026-01-15 12:00 UTC, and sleeps that only move it on."""
    with frozen_clock() as clock:
        yield clock

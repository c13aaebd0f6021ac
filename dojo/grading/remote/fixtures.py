"""The fixtures of specs whose solution is in another process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from dojo.catalogue import Kata
from dojo.doubles import mail
from dojo.doubles.jobs import Jobs
from dojo.grading.remote.doubles import RemoteMailServer, RemoteServices
from dojo.grading.remote.exchanges import RemoteClient, RemoteKata, RemoteRestart
from dojo.grading.remote.link import Link
from dojo.grading.remote.proxies import (
    RemoteClock,
    RemoteConsumer,
    RemoteDatabase,
    RemoteDisk,
    RemoteGiven,
    RemoteImageDecoder,
    RemoteLines,
    RemoteLogs,
    RemoteSteps,
    RemoteTasks,
    RemoteZone,
)
from dojo.harness import current, tasks
from dojo.harness.environment import Environment
from dojo.harness.timeline import Timeline
from dojo.plugin.fixtures import ENVIRONMENT, KATA

LINK = pytest.StashKey[Link]()
StartHost = Callable[[Kata, Path], Link]


class RemoteFixtures:
    """The pytest plugin; `start` starts a host that works in a folder, `folder` names one."""

    start: StartHost
    folder: Callable[[], Path]
    loading: Callable[[bool], None]

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_set_timer(self) -> bool:
        """Set no limit here: the solution's process has one."""
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_cancel_timer(self) -> bool:
        """End no limit."""
        return True

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Print what the solution has printed, so that the report has it."""
        try:
            return (yield)
        finally:
            link = item.stash.get(LINK, None)
            if link is not None:
                print(link.ask_for(str, "printed", ""), end="")

    @pytest.fixture
    def tmp_path(self) -> Path:
        """The folder that the host of a spec works in; it is made and removed with it."""
        return self.folder()

    @pytest.fixture
    def environment(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
        """The world of this spec, as it is seen from outside of the solution's process."""
        item = request.node
        link = item.stash[LINK] = self.start(item.stash[KATA], tmp_path)
        made = RemoteTasks()
        made.link = link
        logs, decoder = RemoteLogs(link), RemoteImageDecoder(link)
        environment = Environment(
            directory=tmp_path,
            timeline=link.timeline,
            database=RemoteDatabase(link, tmp_path),
            disk=RemoteDisk(link, tmp_path),
            mail_server=RemoteMailServer(link),
            services=RemoteServices(link),
            image_decoder=decoder,  # type: ignore[arg-type]
            logs=logs,  # type: ignore[arg-type]
            tasks=made,
            jobs=Jobs(),
        )
        item.stash[ENVIRONMENT] = environment
        current.use(link.timeline)
        mail.use(environment.mail_server)
        tasks.use(made)
        try:
            yield environment
        finally:
            tasks.use(None)
            mail.use(None)
            current.use(None)
            link.close()

    @pytest.fixture
    def link(self, environment: Environment, request: pytest.FixtureRequest) -> Link:
        """The line to the host of this spec."""
        assert request.node.stash[ENVIRONMENT] is environment
        link: Link = request.node.stash[LINK]
        return link

    @pytest.fixture
    def kata(self, link: Link) -> RemoteKata:
        """The solution under test."""
        self.loading(True)
        try:
            link.ask(None, "load")
        finally:
            self.loading(False)
        return RemoteKata(link)

    @pytest_asyncio.fixture
    async def client(
        self, kata: RemoteKata, environment: Environment
    ) -> AsyncIterator[RemoteClient]:
        """A client of the solution's app."""
        link = kata.link
        link.ask(None, "open_client")
        client = RemoteClient(link)
        environment.client = client
        yield client
        if not link.gone:
            link.ask(None, "close_client")

    @pytest.fixture
    def restart(self, client: RemoteClient) -> RemoteRestart:
        """A server that can be started again."""
        return RemoteRestart(client)

    @pytest.fixture
    def consumer(self, link: Link) -> RemoteConsumer:
        """A consumer of the solution's queue, which runs jobs when it is asked to."""
        link.ask(None, "open_consumer")
        return RemoteConsumer(link)

    @pytest.fixture
    def given(self, kata: RemoteKata) -> RemoteGiven:
        """The functions that the stub gives."""
        return RemoteGiven(kata.link)

    @pytest.fixture
    def timeline(self, environment: Environment) -> Timeline:
        """The timeline of this spec."""
        return environment.timeline

    @pytest.fixture
    def steps(self, link: Link) -> RemoteSteps:
        """The steps of a task."""
        return RemoteSteps(link)

    @pytest.fixture
    def zone(self, link: Link) -> RemoteZone:
        """The time zone of the machine."""
        return RemoteZone(link)

    @pytest.fixture
    def lines(self, kata: RemoteKata) -> RemoteLines:
        """The lines of the solution that worker threads run."""
        kata.link.ask(None, "trace_lines")
        return RemoteLines(kata.link)

    @pytest.fixture
    def clock(self, kata: RemoteKata) -> Iterator[RemoteClock]:
        """A clock that stands still."""
        kata.link.ask(None, "freeze")
        yield RemoteClock(kata.link)
        if not kata.link.gone:
            kata.link.ask(None, "leave")

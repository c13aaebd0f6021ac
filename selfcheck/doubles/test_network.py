"""Nothing that an answer does leaves this machine, and what tries is told so."""

import asyncio
import smtplib
import socket
import urllib.request

import pytest

from dojo.doubles.network import NetworkRefusedError
from dojo.solutions import SolutionLoadError
from selfcheck.worlds import answer, run_tasks

pytestmark = pytest.mark.fast
REFUSED = "the dojo lets nothing out: {} cannot be reached from here"


def resolve() -> None:
    socket.getaddrinfo("example.com", 443)


def look_up() -> None:
    socket.gethostbyname("example.com")


def open_url() -> None:
    urllib.request.urlopen("http://example.com/", timeout=1)


def mail_elsewhere() -> None:
    smtplib.SMTP("example.com", 25, timeout=1)


async def open_connection() -> None:
    await asyncio.open_connection("example.com", 443)


@pytest.mark.parametrize(
    "task", [resolve, look_up, open_url, mail_elsewhere, open_connection], ids=lambda t: t.__name__
)
async def test_a_name_is_refused_by_name(environment, task):
    """Before anybody is asked where it is."""
    exchange = await run_tasks(environment, task)

    assert isinstance(exchange.raised, OSError)
    assert REFUSED.format("example.com") in str(exchange.raised)
    assert "example.com" in environment.timeline.of("refused")


@pytest.fixture
def neighbour():
    """Another server on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()


async def test_another_port_of_this_machine_is_refused(environment, neighbour):
    """A data base or a real mail server of the learner's is none of the spec's."""

    def connect() -> None:
        socket.create_connection(neighbour, timeout=1)

    exchange = await run_tasks(environment, connect)

    assert isinstance(exchange.raised, NetworkRefusedError)
    assert str(exchange.raised) == REFUSED.format(f"127.0.0.1:{neighbour[1]}")


async def test_a_connection_on_the_loop_is_refused(environment, neighbour):
    """asyncio has sockets of its own."""

    async def connect() -> None:
        await asyncio.open_connection(*neighbour)

    exchange = await run_tasks(environment, connect)

    assert isinstance(exchange.raised, ConnectionRefusedError)
    assert environment.timeline.of("refused") == [f"127.0.0.1:{neighbour[1]}"]


async def test_a_connection_that_asks_for_a_number_gets_one(environment, neighbour):
    """`connect_ex` does not raise."""
    codes = []

    def connect() -> None:
        with socket.socket() as sock:
            codes.append(sock.connect_ex(neighbour))

    await run_tasks(environment, connect)

    assert codes[0] != 0
    assert environment.timeline.of("refused") == [f"127.0.0.1:{neighbour[1]}"]


async def test_a_datagram_is_refused(environment):
    """UDP leaves without a connection."""

    def shout() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"hello", ("192.0.2.1", 9))

    exchange = await run_tasks(environment, shout)

    assert isinstance(exchange.raised, NetworkRefusedError)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_the_postbox_may_be_reached(environment, mail_server, host):
    """That is what it is there for."""

    def connect() -> None:
        with smtplib.SMTP(host, 2525, timeout=5) as server:
            server.noop()

    exchange = await run_tasks(environment, connect)

    assert exchange.raised is None
    assert len(mail_server.sessions) == 1


def test_an_import_that_goes_out_does_not_load(environment, tmp_path_factory, neighbour):
    """Importing is the answer's doing too."""
    source = f"import socket\nsocket.create_connection({neighbour!r}, timeout=1)\n"

    with (
        pytest.raises(SolutionLoadError, match=r"app\.py:2 .*the dojo lets nothing out"),
        answer(tmp_path_factory.mktemp("tree"), source),
    ):
        pass


async def test_the_spec_itself_may_connect(environment, neighbour):
    """The guard is round answers, not round the test run."""
    socket.create_connection(neighbour, timeout=1).close()

    assert environment.timeline.of("refused") == []

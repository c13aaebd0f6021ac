"""What the process of a solution sends is data, and measured before it is read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dojo.grading.remote.errors import HostEndedError
from dojo.grading.remote.link import Link
from dojo.grading.remote.messages import HoldData, checked
from dojo.grading.remote.wire import MOST, GoneError, ProtocolError, Wire
from dojo.harness.exchange import NoResponseError
from dojo.harness.time_limit import TimeLimitError

pytestmark = pytest.mark.fast


class Host:
    """The other ends of a link, as a hostile process has them."""

    def __init__(self) -> None:
        pairs = [socket.socketpair() for _ in range(3)]
        ours = [Wire(our, 5) for our, _ in pairs]
        self.ends = [their for _, their in pairs]
        self.wires = [Wire(their, 5) for their in self.ends]
        self.link = Link((ours[0], ours[1], ours[2]), Path("app.py"))

    def reply(self, message: object) -> None:
        """Reply to the next command."""

        def serve() -> None:
            self.wires[0].receive()
            self.wires[0].send(message)

        threading.Thread(target=serve).start()

    def tell(self, **message: object) -> object:
        """Say something unasked; what is replied."""
        return self.wires[1].ask(message)


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.link.close()
    for end in host.ends:
        end.close()


def pair() -> tuple[Wire, socket.socket]:
    ours, theirs = socket.socketpair()
    return Wire(ours, 5), theirs


def test_plain_data_and_bytes_arrive_as_they_were():
    """JSON has no bytes, and bodies are nothing else."""
    ours, theirs = pair()
    message = {"body": b"\x00\xff{", "names": ["\u2028", None, True, 1.5]}
    Wire(theirs).send(message)

    assert ours.receive() == message


def test_half_a_character_is_a_question_mark():
    """A right solution may log the name of a file that is no UTF-8."""
    ours, theirs = pair()
    Wire(theirs).send({"text": "\ud800"})

    assert ours.receive() == {"text": "?"}


@pytest.mark.parametrize("data", [b"\xff", b"[" * 100_000, b"{", b"nothing"])
def test_what_is_no_json_is_refused(data: bytes):
    ours, theirs = pair()
    theirs.sendall(len(data).to_bytes(4) + data)

    with pytest.raises(ProtocolError):
        ours.receive()


def test_what_is_too_long_is_not_read():
    """The length is believed before the bytes are there."""
    ours, theirs = pair()
    theirs.sendall((MOST + 1).to_bytes(4))

    with pytest.raises(ProtocolError, match=str(MOST + 1)):
        ours.receive()


def test_half_a_message_is_none():
    ours, theirs = pair()
    theirs.sendall(b"\0\0\0\x09half")
    theirs.close()

    with pytest.raises(GoneError):
        ours.receive()


@pytest.mark.parametrize("value", [{}, {"what": 1}, {"what": "x" * 5_000}, [], "text"])
def test_what_is_not_as_the_model_says_is_refused(value: object):
    with pytest.raises(ProtocolError):
        checked(HoldData, value)


def test_a_reply_of_another_kind_ends_the_spec(host: Host):
    """And the verdict says that the protocol was forged."""
    host.reply({"value": "five"})

    with pytest.raises(HostEndedError):
        host.link.ask(int, "restart")
    assert host.link.forged


@pytest.mark.parametrize("kind", ["response", "mail", "call"])
def test_what_the_specs_see_themselves_cannot_be_told(host: Host, kind: str):
    """A response is there when its bytes are, and a mail when the server has it."""
    with pytest.raises(GoneError):
        host.tell(say="event", kind=kind)

    assert kind in host.link.forged
    assert list(host.link.timeline) == []


def test_an_event_is_believed_with_its_lines_only(host: Host):
    """A file of its choice would be read for the message of a failure."""
    host.tell(say="event", kind="write", detail="log.txt", lines=[3], blocking=True)

    (event,) = host.link.timeline
    assert (event.kind, event.detail, event.places) == ("write", "log.txt", (("app.py", 3),))


def test_an_event_of_an_unknown_exchange_belongs_to_none(host: Host):
    host.tell(say="event", kind="write", exchange=7)

    assert [event.after_response for event in host.link.timeline] == [False]


@pytest.mark.parametrize("message", [{"say": "start"}, {"say": "x"}, {}, {"say": "ended", "x": 1}])
def test_a_message_that_nobody_sends_is_forged(host: Host, message: dict[str, object]):
    with pytest.raises(GoneError):
        host.tell(**message)

    assert host.link.forged


def test_an_error_keeps_its_name_its_line_and_its_cause(host: Host):
    """A failure reads as it does where specs and solution share a process."""
    cause = {"kind": "other", "type": "KeyError", "text": "'a'", "lines": [12]}
    host.reply({"error": {"kind": "no response", "type": "X", "text": "GET /a", "cause": cause}})

    with pytest.raises(NoResponseError, match="GET /a") as raised:
        host.link.ask(None, "until_finished", on=("exchange", 1))
    assert type(raised.value.cause).__name__ == "KeyError"
    assert vars(raised.value.cause)["place"] == ("app.py", 12)


def test_a_limit_that_has_run_out_says_so(host: Host):
    host.reply({"error": {"kind": "late", "type": "X", "text": "it did not finish", "lines": [4]}})

    with pytest.raises(TimeLimitError, match="it did not finish"):
        host.link.ask(None, "load")
    assert host.link.late

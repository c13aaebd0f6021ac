"""The postbox is a mail server: what smtplib does with it is what it does with a real one."""

import smtplib
from email.message import EmailMessage

import pytest
from worlds import app_of_tasks, run_tasks

from dojo.doubles import mail as postboxes
from dojo.doubles import network
from dojo.harness.environment import client_of
from dojo.harness.timeline import MADE


def mail_to(who: str = "ada") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "noreply@example.com"
    message["To"] = f"{who}@example.com"
    message["Subject"] = "Hello"
    message.set_content("Grüße, 陽子!")
    return message


def send(host: str = "localhost") -> None:
    with smtplib.SMTP(host, 2525, timeout=5) as server:
        server.send_message(mail_to())


async def send_on_the_loop() -> None:
    send()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_mail_arrives_as_it_was_sent(scene, postbox, host):
    """Envelope, headers and text, whatever the alphabet."""
    await run_tasks(scene, lambda: send(host))

    (mail,) = postbox.mails
    assert (mail.sender, mail.recipients) == ("noreply@example.com", ["ada@example.com"])
    assert (mail.from_, mail.to, mail.subject) == (
        "noreply@example.com",
        "ada@example.com",
        "Hello",
    )
    assert mail.body == "Grüße, 陽子!"


async def test_a_mail_is_on_the_timeline_of_its_exchange(scene, postbox):
    """It was sent from a worker thread, although the server has a thread of its own."""
    exchange = await run_tasks(scene, send)

    (mail,) = [event for event in scene.timeline if event.kind == "mail"]
    assert (mail.exchange, mail.on_loop, mail.after_response) == (exchange.number, False, True)
    assert scene.timeline.blocked() == []


async def test_a_mail_sent_on_the_loop_blocks(scene, postbox):
    """The thread that counts is the sender's."""
    await run_tasks(scene, send_on_the_loop)

    assert scene.timeline.blocked() == ["mail to ada@example.com, 'Hello'"]


async def test_a_refused_mail_raises_in_the_sender(scene, postbox):
    """As a server that does not know the recipient."""
    postbox.refuse()

    exchange = await run_tasks(scene, send)

    assert isinstance(exchange.raised, smtplib.SMTPRecipientsRefused)
    assert postbox.mails == []
    assert scene.timeline.of("refused") == [f"mail to ada@example.com: {MADE}"]


async def test_nobody_answers_at_a_server_that_is_down(scene, postbox):
    """The connection itself fails."""
    postbox.go_down()

    exchange = await run_tasks(scene, send)

    assert isinstance(exchange.raised, ConnectionRefusedError)
    assert postbox.sessions == []


async def test_a_held_mail_waits_until_it_is_released(scene, postbox):
    """Only `limit` of them wait; the next one passes."""
    async with client_of(app_of_tasks(send), scene) as client:
        with postbox.hold() as slow_mail:
            first = client.begin("POST", "/")
            await slow_mail.until_reached()
            assert postbox.mails == []
            await client.post("/")
            assert len(postbox.mails) == 1
            slow_mail.release()
            await first.until_finished()

    assert len(postbox.mails) == 2


async def test_a_held_connection_waits_at_the_door(scene, postbox):
    """No session has begun."""
    async with client_of(app_of_tasks(send), scene) as client:
        with postbox.hold_connections() as slow_server:
            exchange = client.begin("POST", "/")
            await slow_server.until_reached()
            assert postbox.sessions == []
            slow_server.release()
            await exchange.until_finished()

    assert len(postbox.sessions) == 1


async def test_a_mail_on_the_loop_passes_a_hold(scene, postbox):
    """Nobody could release it: the spec is told, and nothing hangs."""
    async with client_of(app_of_tasks(send_on_the_loop), scene) as client:
        with postbox.hold() as slow_mail:
            exchange = client.begin("POST", "/")
            with pytest.raises(AssertionError, match="the mail was on the event loop's thread"):
                await slow_mail.until_reached()
            await exchange.until_finished()

    assert len(postbox.mails) == 1


async def test_a_session_in_a_with_block_is_quit_and_closed(scene, postbox):
    """That is what `with smtplib.SMTP(...)` is for."""
    await run_tasks(scene, send)

    assert [(session.quit, session.closed) for session in postbox.sessions] == [(True, True)]


async def test_a_session_closed_without_a_word_is_not_quit(scene, postbox):
    """The server learns it only from the line going dead."""

    def hang_up() -> None:
        server = smtplib.SMTP("localhost", 2525)
        server.send_message(mail_to())
        server.close()

    await run_tasks(scene, hang_up)

    assert [(session.quit, session.closed) for session in postbox.sessions] == [(False, True)]


async def test_a_session_that_is_dropped_counts_as_open(scene, postbox):
    """That Python closes a socket with its last reference is nothing to rely on."""

    def forget() -> None:
        smtplib.SMTP("localhost", 2525).send_message(mail_to())

    await run_tasks(scene, forget)

    assert [(session.quit, session.closed) for session in postbox.sessions] == [(False, False)]


async def test_two_mails_of_one_session_are_both_its(scene, postbox):
    """A session may send as many as it likes."""

    def send_two() -> None:
        with smtplib.SMTP("localhost", 2525) as server:
            server.send_message(mail_to("ada"))
            server.send_message(mail_to("grace"))

    await run_tasks(scene, send_two)

    (session,) = postbox.sessions
    assert [mail.to for mail in session.mails] == ["ada@example.com", "grace@example.com"]


async def test_the_server_s_own_thread_is_nobody_s_stray(scene, monkeypatch):
    """Also where the first mail of a run is what starts it."""
    monkeypatch.setattr(postboxes, "_running", None)
    monkeypatch.setattr(network, "_mail_address", None)

    await run_tasks(scene, send)

    assert len(scene.postbox.mails) == 1

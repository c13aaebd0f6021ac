"""The mail_server is a mail server: what smtplib does with it is what it does with a real one."""

import contextlib
import smtplib
from email.message import EmailMessage

import pytest

from dojo.doubles import mail, network
from dojo.harness.environment import client_of
from dojo.harness.timeline import MADE
from selfcheck.worlds import app_of_tasks, run_tasks

pytestmark = pytest.mark.fast


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
async def test_a_mail_arrives_as_it_was_sent(environment, mail_server, host):
    """Envelope, headers and text, whatever the alphabet."""
    await run_tasks(environment, lambda: send(host))

    (mail,) = mail_server.mails
    assert (mail.sender, mail.recipients) == ("noreply@example.com", ["ada@example.com"])
    assert (mail.from_, mail.to, mail.subject) == (
        "noreply@example.com",
        "ada@example.com",
        "Hello",
    )
    assert mail.body == "Grüße, 陽子!"


async def test_a_mail_is_on_the_timeline_of_its_exchange(environment, mail_server):
    """It was sent from a worker thread, although the server has a thread of its own."""
    exchange = await run_tasks(environment, send)

    (mail,) = [event for event in environment.timeline if event.kind == "mail"]
    assert (mail.exchange, mail.on_loop, mail.after_response) == (exchange.number, False, True)
    assert environment.timeline.blocked() == []


async def test_a_mail_sent_on_the_loop_blocks(environment, mail_server):
    """The thread that counts is the sender's."""
    await run_tasks(environment, send_on_the_loop)

    assert environment.timeline.blocked() == ["mail to ada@example.com, 'Hello'"]


async def test_a_refused_mail_raises_in_the_sender(environment, mail_server):
    """As a server that does not know the recipient."""
    mail_server.refuse()

    exchange = await run_tasks(environment, send)

    assert isinstance(exchange.raised, smtplib.SMTPRecipientsRefused)
    assert mail_server.mails == []
    assert environment.timeline.of("refused") == [f"mail to ada@example.com: {MADE}"]


async def test_a_server_that_hangs_up_leaves_the_sender_without_a_connection(
    environment, mail_server
):
    """What is sent on the same connection next fails, too."""
    mail_server.refuse("ada@example.com", hangs_up=True)
    raised: list[object] = []

    def send_two() -> None:
        with smtplib.SMTP("localhost", 2525) as server:
            for address in ("ada@example.com", "grace@example.com"):
                try:
                    server.sendmail("noreply@example.com", address, "Subject: Hello\n\nHello")
                except smtplib.SMTPException as error:
                    raised.append(type(error))

    await run_tasks(environment, send_two)

    assert raised == [smtplib.SMTPRecipientsRefused, smtplib.SMTPServerDisconnected]
    assert mail_server.mails == []


async def test_nobody_answers_at_a_server_that_is_down(environment, mail_server):
    """The connection itself fails."""
    mail_server.go_down()

    exchange = await run_tasks(environment, send)

    assert isinstance(exchange.raised, ConnectionRefusedError)
    assert mail_server.sessions == []


async def test_a_held_mail_waits_until_it_is_released(environment, mail_server):
    """Only `limit` of them wait; the next one passes."""
    async with client_of(app_of_tasks(send), environment) as client:
        with mail_server.hold() as slow_mail:
            first = client.begin("POST", "/")
            await slow_mail.until_reached()
            assert mail_server.mails == []
            await client.post("/")
            assert len(mail_server.mails) == 1
            slow_mail.release()
            await first.until_finished()

    assert len(mail_server.mails) == 2


async def test_a_held_connection_waits_at_the_door(environment, mail_server):
    """No session has begun."""
    async with client_of(app_of_tasks(send), environment) as client:
        with mail_server.hold_connections() as slow_server:
            exchange = client.begin("POST", "/")
            await slow_server.until_reached()
            assert mail_server.sessions == []
            slow_server.release()
            await exchange.until_finished()

    assert len(mail_server.sessions) == 1


async def test_a_mail_on_the_loop_passes_a_hold(environment, mail_server):
    """Nobody could release it: the spec is told, and nothing hangs."""
    async with client_of(app_of_tasks(send_on_the_loop), environment) as client:
        with mail_server.hold() as slow_mail:
            exchange = client.begin("POST", "/")
            with pytest.raises(AssertionError, match="the mail was on the event loop's thread"):
                await slow_mail.until_reached()
            await exchange.until_finished()

    assert len(mail_server.mails) == 1


async def test_a_session_in_a_with_block_is_quit_and_closed(environment, mail_server):
    """That is what `with smtplib.SMTP(...)` is for."""
    await run_tasks(environment, send)

    assert [(session.quit, session.closed) for session in mail_server.sessions] == [(True, True)]


async def test_a_session_closed_without_a_word_is_not_quit(environment, mail_server):
    """The server learns it only from the line going dead."""

    def hang_up() -> None:
        server = smtplib.SMTP("localhost", 2525)
        server.send_message(mail_to())
        server.close()

    await run_tasks(environment, hang_up)

    assert [(session.quit, session.closed) for session in mail_server.sessions] == [(False, True)]


async def test_a_session_that_is_dropped_counts_as_open(environment, mail_server):
    """That Python closes a socket with its last reference is nothing to rely on."""

    def forget() -> None:
        smtplib.SMTP("localhost", 2525).send_message(mail_to())

    await run_tasks(environment, forget)

    assert [(session.quit, session.closed) for session in mail_server.sessions] == [(False, False)]


async def test_two_mails_of_one_session_are_both_its(environment, mail_server):
    """A session may send as many as it likes."""

    def send_two() -> None:
        with smtplib.SMTP("localhost", 2525) as server:
            server.send_message(mail_to("ada"))
            server.send_message(mail_to("grace"))

    await run_tasks(environment, send_two)

    (session,) = mail_server.sessions
    assert [mail.to for mail in session.mails] == ["ada@example.com", "grace@example.com"]


async def test_the_server_s_own_thread_is_nobody_s_stray(environment, monkeypatch):
    """Also where the first mail of a run is what starts it."""
    monkeypatch.setattr(mail, "_running", None)
    monkeypatch.setattr(network, "_mail_address", None)

    await run_tasks(environment, send)

    assert len(environment.mail_server.mails) == 1


async def test_one_recipient_is_refused_until_the_server_recovers(environment, mail_server):
    """Others get their mail meanwhile."""

    def send_two() -> None:
        for who in ("ada", "grace"):
            refused = contextlib.suppress(smtplib.SMTPException, OSError)
            with refused, smtplib.SMTP("localhost", 2525, timeout=5) as server:
                server.send_message(mail_to(who))

    mail_server.refuse("ada@example.com")
    await run_tasks(environment, send_two)
    mail_server.go_down()
    await run_tasks(environment, send_two)
    mail_server.recover()
    await run_tasks(environment, send_two)

    assert [mail.to.partition("@")[0] for mail in mail_server.mails] == ["grace", "ada", "grace"]


async def test_a_mail_has_the_id_that_it_was_given(environment, mail_server):
    """Without one it has none, although mail servers add one."""

    def send_with_an_id() -> None:
        message = mail_to()
        message["Message-ID"] = "<outbox-1@example.com>"
        with smtplib.SMTP("localhost", 2525, timeout=5) as server:
            server.send_message(message)

    await run_tasks(environment, send_with_an_id)
    await run_tasks(environment, send)

    assert [mail.message_id for mail in mail_server.mails] == ["<outbox-1@example.com>", ""]

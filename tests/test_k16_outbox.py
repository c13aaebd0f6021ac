"""An order and its mail: what is left to send is written down, and outlives the process."""

import pytest

from dojo.specs import time_of

MAX_ATTEMPTS = 5
ORDERS = "SELECT id, email FROM orders ORDER BY id"
OUTBOX = "SELECT id, order_id, attempts FROM outbox ORDER BY id"
NOT_SENT = "SELECT id, attempts FROM outbox WHERE sent_at IS NULL ORDER BY id"

# How many statements and commits of an order, or of a task, are looked at.
STEPS = 14


def order(customer="ada"):
    return {"email": f"{customer}@example.com"}


def due(database, number, customer, *, order_id=None, attempts=0, sent_at=None):
    """An order that was placed before, and its row in the outbox."""
    order_id = number if order_id is None else order_id
    database.insert("orders", {"id": order_id, "email": f"{customer}@example.com"})
    row = {"id": number, "order_id": order_id, "attempts": attempts, "sent_at": sent_at}
    database.insert("outbox", row)


def sent(mail_server):
    """The mails that were sent: (Message-ID, To, Subject)."""
    return [(mail.message_id, mail.to, mail.subject) for mail in mail_server.mails]


def mail_of(number, customer, order_id=None):
    subject = f"Order {number if order_id is None else order_id}"
    return f"<outbox-{number}@example.com>", f"{customer}@example.com", subject


@pytest.fixture(autouse=True)
def shop(kata, clock, database, mail_server):
    """All that an order needs is there, and time stands still."""


async def test_the_client_gets_the_number_of_the_order(client):
    """The number is what the customer will ask about."""
    responses = [await client.post("/orders", json=order(name)) for name in ("ada", "grace")]

    assert [response.status_code for response in responses] == [200, 200], "both statuses"
    assert [response.json() for response in responses] == [{"order_id": 1}, {"order_id": 2}], (
        "the responses' bodies must be this JSON"
    )


async def test_the_order_and_its_outbox_row_are_committed_before_the_response(client, database):
    """What is written down is not forgotten, whatever happens next."""
    async with client.responded("POST", "/orders", json=order()) as exchange:
        number = exchange.response.field("order_id")

        assert database.rows(ORDERS) == [(number, "ada@example.com")], (
            "at the moment of the response the order must be committed: (id, email)"
        )
        assert database.rows("SELECT order_id, attempts, sent_at FROM outbox") == [
            (number, 0, None)
        ], (
            "at the moment of the response its row must be in the outbox: (order_id, attempts, sent_at)"
        )


async def test_an_order_is_never_seen_without_its_outbox_row(client, database):
    """A process that dies between two commits leaves an order whose mail nobody sends."""
    for step in range(STEPS):
        async with client.in_flight("POST", "/orders", json=order(f"ada{step}")) as exchange:
            with database.hold_step(step, in_task=False):
                held = await exchange.until_held()
                counts = (
                    len(database.rows(ORDERS)) - step,
                    len(database.rows(OUTBOX)) - step,
                )

        if not held:
            break
        assert counts in [(0, 0), (1, 1)], (
            "an order and its outbox row are committed together, and another connection saw "
            f"{counts[0]} order(s) and {counts[1]} row(s) before statement or commit number {step + 1}"
        )


@pytest.mark.parametrize("table", ["orders", "outbox"])
async def test_where_one_cannot_be_stored_neither_is(client, database, mail_server, table):
    """An order without its mail, or a mail without its order, helps nobody."""
    database.refuse_rows(table, when="NEW.id IS NOT NULL OR NEW.id IS NULL")

    response = await client.post("/orders", json=order(), crashes=True)

    assert 500 <= response.status_code <= 599, (
        f"the status where no row can be stored in `{table}` must be a 5xx, "
        f"and it is {response.status_code:d}"
    )
    assert (database.rows(ORDERS), database.rows(OUTBOX)) == ([], []), (
        f"the rows of `orders` and `outbox`, where none can be stored in `{table}`"
    )
    assert mail_server.mails == [], "no mail is sent for an order that does not exist"


async def test_the_mail_leaves_only_after_the_response(client, timeline):
    """The client must not wait for a mail server."""
    await client.post("/orders", json=order())

    assert timeline.order("response", "mail") == ["response", "mail"]


async def test_the_mail_names_the_order_and_its_row(client, mail_server):
    """A customer who gets it twice can tell by its Message-ID."""
    for name in ("ada", "grace"):
        await client.post("/orders", json=order(name))

    assert sent(mail_server) == [mail_of(1, "ada"), mail_of(2, "grace")], (
        "the mails that were sent: (Message-ID, To, Subject)"
    )
    assert {mail.from_ for mail in mail_server.mails} == {"noreply@example.com"}, "From"


async def test_the_message_id_is_the_rows_and_the_subject_the_orders(client, database, mail_server):
    """The two ids are the same only where no order was ever placed otherwise."""
    due(database, 3, "grace", order_id=41)
    await client.post("/orders", json=order())

    number = database.rows("SELECT max(id) FROM outbox")[0][0]
    order_id = database.rows("SELECT max(id) FROM orders")[0][0]
    assert sent(mail_server) == [mail_of(3, "grace", 41), mail_of(number, "ada", order_id)], (
        "the mails that were sent: (Message-ID, To, Subject); row 3 of the outbox was about order 41"
    )


async def test_a_mail_that_was_sent_says_when(client, clock, database):
    """Without that, it would be sent again."""
    async with client.responded("POST", "/orders", json=order()):
        clock.tick(60)
    moment = clock.now
    times = [time_of(row[0]) for row in database.rows("SELECT sent_at FROM outbox")]

    assert [str(time) for time in times] == [str(moment)], (
        "sent_at, ISO 8601 with an offset: the mail was sent a minute after the response"
    )


async def test_all_that_is_due_is_sent_oldest_first(client, database, mail_server):
    """An order brings along what was left behind."""
    due(database, 2, "edsger", order_id=30)
    due(database, 7, "grace", order_id=10, attempts=4)
    due(database, 5, "grace", order_id=20, attempts=1)
    more = range(40, 48)
    for number in more:
        due(database, number, "linus")
    await client.post("/orders", json=order())

    assert sent(mail_server) == [
        mail_of(2, "edsger", 30),
        mail_of(5, "grace", 20),
        mail_of(7, "grace", 10),
        *(mail_of(number, "linus") for number in more),
        mail_of(48, "ada"),
    ], (
        "the mails that were sent: (Message-ID, To, Subject), the oldest row first, one for each row and "
        "not for each customer"
    )
    assert database.rows(NOT_SENT) == [], "(id, attempts) of the rows that are not sent"


async def test_a_mail_is_noted_as_sent_before_the_next_one_leaves(
    client, clock, database, mail_server
):
    """A process that dies in the middle of a long round must not send all of it again."""
    due(database, 1, "grace")
    async with client.in_flight("POST", "/orders", json=order()):
        with mail_server.hold() as first_mail:
            await first_mail.until_reached()
            clock.tick(60)
            with mail_server.hold() as second_mail:
                first_mail.release()
                await second_mail.until_reached()
                rows = database.rows("SELECT id FROM outbox WHERE sent_at IS NULL")
    (time,) = database.rows("SELECT sent_at FROM outbox WHERE id = 2")[0]

    assert rows == [(2,)], "the rows that are not sent, while the second of two mails is under way"
    assert str(time_of(time)) == str(clock.now), (
        "`sent_at` of the second mail, where the first one took a minute: each mail has a time of its own"
    )


async def test_what_is_not_due_is_not_sent(client, database, mail_server):
    """What was sent is sent, and what failed five times is for a person to look at."""
    due(database, 1, "edsger", sent_at="2026-01-14T12:00:00+00:00")
    due(database, 2, "grace", attempts=MAX_ATTEMPTS)
    due(database, 3, "linus", attempts=MAX_ATTEMPTS + 1)
    due(database, 4, "joan", attempts=2, sent_at="2026-01-14T12:00:00+00:00")
    for _ in range(2):
        await client.post("/orders", json=order())

    assert [mail.to for mail in mail_server.mails] == ["ada@example.com"] * 2, (
        "whom mails were sent to: two of four rows were sent before, two had too many attempts"
    )
    assert database.rows(NOT_SENT) == [(2, MAX_ATTEMPTS), (3, MAX_ATTEMPTS + 1)], (
        "(id, attempts) of the rows that are not sent"
    )


@pytest.mark.parametrize("hangs_up", [False, True], ids=["refused", "connection lost"])
async def test_a_mail_that_fails_takes_no_other_along(
    client, database, logs, mail_server, timeline, hangs_up
):
    """One address that does not exist must not stop everybody's mail."""
    due(database, 1, "edsger")
    due(database, 2, "eve")
    due(database, 3, "grace")
    mail_server.refuse("eve@example.com", hangs_up=hangs_up)

    response = await client.post("/orders", json=order())

    raised = response.exchange.raised
    assert raised is None, f"no exception may escape the task, and this one did: {raised!r}"
    assert [mail.to for mail in mail_server.mails] == [
        f"{name}@example.com" for name in ("edsger", "grace", "ada")
    ], (
        "whom mails were sent to; the server refuses eve@example.com"
        + " and ends the connection: the mails behind it need another one" * hangs_up
    )
    assert database.rows(NOT_SENT) == [(2, 1)], "(id, attempts) of the rows that are not sent"
    assert logs.failures, "the failure must be logged to the logger `kata`, as WARNING or above"
    assert timeline.blocked() == [], "a failure must not block the event loop either"


async def test_a_mail_server_that_is_down_costs_each_row_an_attempt(
    client, database, logs, mail_server
):
    """The client has its order, and the mail its next chance."""
    due(database, 1, "grace", attempts=2)
    mail_server.go_down()

    response = await client.post("/orders", json=order())

    assert response.status_code == 200, "the response's status must be 200"
    raised = response.exchange.raised
    assert raised is None, f"no exception may escape the task, and this one did: {raised!r}"
    assert database.rows(NOT_SENT) == [(1, 3), (2, 1)], (
        "(id, attempts) of the rows that are not sent: each had two and no attempts before, and one more"
    )
    assert logs.failures, "the failure must be logged to the logger `kata`, as WARNING or above"


async def test_it_is_tried_again_with_the_next_order(client, database, mail_server):
    """Mail servers come back."""
    mail_server.go_down()
    await client.post("/orders", json=order())
    mail_server.recover()
    await client.post("/orders", json=order("grace"))

    assert sent(mail_server) == [mail_of(1, "ada"), mail_of(2, "grace")], (
        "the mails that were sent: the server was down for the first order, and not for the second"
    )
    assert database.rows(NOT_SENT) == [], "(id, attempts) of the rows that are not sent"


async def test_after_five_attempts_it_is_not_tried_again(client, database, mail_server, timeline):
    """An address that was mistyped stays mistyped."""
    mail_server.refuse("eve@example.com")
    for name in ("eve", *["ada"] * 6):
        await client.post("/orders", json=order(name))
    mail_server.recover()
    await client.post("/orders", json=order("grace"))

    assert timeline.of("refused mail to eve@example.com") != [], "it must be tried"
    assert len(timeline.of("refused mail to eve@example.com")) == MAX_ATTEMPTS, (
        "how often the server has refused the mail, with seven orders in a row"
    )
    assert database.rows(NOT_SENT) == [(1, MAX_ATTEMPTS)], "(id, attempts) of the rows not sent"
    assert len(mail_server.mails) == 7, "how many mails were sent, to the others"


async def test_a_process_that_dies_after_the_response_has_forgotten_nothing(
    client, database, mail_server, restart
):
    """A task is in memory only, and memory is gone."""
    for name in ("ada", "grace"):
        exchange = client.begin("POST", "/orders", json=order(name), stop_at_response=True)
        await exchange.until_responded()
    before = sent(mail_server)
    again = await restart.client()

    assert before == [], "the process has died before its tasks began"
    assert sorted(sent(mail_server)) == [mail_of(1, "ada"), mail_of(2, "grace")], (
        "the mails that were sent when the start-up after the crash was complete"
    )
    assert database.rows(NOT_SENT) == [], "(id, attempts) of the rows that are not sent"
    await again.post("/orders", json=order("linus"))
    assert len(mail_server.mails) == 3, "how many mails were sent, when one more order has come"


async def test_a_process_that_dies_while_it_sends_has_not_sent(
    client, database, mail_server, restart
):
    """A row that was taken, and not let go, would be nobody's for ever."""
    exchange = client.begin("POST", "/orders", json=order())
    with mail_server.hold() as slow_mail:
        await exchange.until_responded()
        await slow_mail.until_reached()
        # A lock of the dead process would be gone. Here it is not, so there is nothing to see.
        if not database.is_locked():
            await restart.client()
            assert sent(mail_server) == [mail_of(1, "ada")], (
                "the mails that were sent when the start-up after the crash was complete: the mail of "
                "the dead process never reached the server"
            )


async def test_a_start_up_sends_what_was_due_oldest_first(client, database, mail_server, restart):
    """However long the server was away."""
    await client.post("/orders", json=order())
    mail_server.mails.clear()
    due(database, 4, "grace", order_id=11)
    due(database, 9, "linus", order_id=12, attempts=3)
    due(database, 6, "edsger", order_id=13)
    due(database, 8, "eve", order_id=14, attempts=MAX_ATTEMPTS)
    due(database, 7, "joan", order_id=15, sent_at="2026-01-14T12:00:00+00:00")
    await restart.client()

    assert sent(mail_server) == [
        mail_of(4, "grace", 11),
        mail_of(6, "edsger", 13),
        mail_of(9, "linus", 12),
    ], "the mails that were sent when start-up was complete: (Message-ID, To, Subject)"
    assert database.rows(NOT_SENT) == [(8, MAX_ATTEMPTS)], "(id, attempts) of the rows not sent"


async def test_an_app_starts_without_a_mail_server(client, database, logs, mail_server, restart):
    """A shop that cannot mail can still sell."""
    due(database, 1, "grace")
    due(database, 2, "linus", attempts=1)
    due(database, 3, "joan", attempts=MAX_ATTEMPTS - 1)
    mail_server.go_down()
    again = await restart.client()
    tried = database.rows(NOT_SENT)
    mail_server.recover()
    response = await again.post("/orders", json=order())

    assert tried == [(1, 1), (2, 2), (3, MAX_ATTEMPTS)], (
        "(id, attempts) of the rows when start-up was complete: each was tried once"
    )
    assert logs.failures, "the failures must be logged to the logger `kata`, as WARNING or above"
    assert response.status_code == 200, "the status of an order after that"
    assert sent(mail_server) == [mail_of(1, "grace"), mail_of(2, "linus"), mail_of(4, "ada")], (
        "the mails that were sent with that order, when the mail server was there again"
    )


async def test_a_row_that_is_being_sent_is_not_sent_by_another_order(client, database, mail_server):
    """Between looking what is due and having sent it, somebody else looks."""
    async with client.in_flight("POST", "/orders", json=order()) as first:
        with mail_server.hold() as slow_mail:
            await first.until_responded()
            await slow_mail.until_reached()
            second = client.begin("POST", "/orders", json=order("grace"))
            await client.finish_what_can([first, second])
    await client.finish([second])

    assert sorted(sent(mail_server)) == [mail_of(1, "ada"), mail_of(2, "grace")], (
        "the mails that were sent: the first one was under way when the second order came"
    )
    assert database.rows(NOT_SENT) == [], "(id, attempts) of the rows that are not sent"


async def test_no_mail_is_sent_twice_wherever_two_orders_meet(client, database, mail_server):
    """Each moment between two statements is one at which another order can come."""
    for step in range(STEPS):
        names = [f"ada{step}", f"grace{step}"]
        mail_server.mails.clear()
        async with client.in_flight("POST", "/orders", json=order(names[0])) as first:
            with database.hold_step(step):
                held = await first.until_held()
                second = client.begin("POST", "/orders", json=order(names[1]))
                await client.until(lambda other=second: other.finished, seconds=0.06)

        assert sorted(mail.to for mail in mail_server.mails) == [
            f"{name}@example.com" for name in names
        ], (
            "whom mails were sent to: the task of the first order was held at its statement or commit "
            f"number {step + 1}, while the second one ran through"
        )
        assert database.rows(NOT_SENT) == [], "(id, attempts) of the rows that are not sent"
        if not held:
            break


async def test_who_has_looked_before_does_not_send_what_another_one_sends(
    client, database, mail_server
):
    """To look which rows are free and to take one must be one step."""
    async with client.in_flight("POST", "/orders", json=order()) as first:
        with database.hold_step(0) as looking, mail_server.hold() as slow_mail:
            await first.until_held()
            second = client.begin("POST", "/orders", json=order("grace"))
            await client.until(lambda: slow_mail.reached or second.finished, seconds=0.15)
            looking.release()
            await client.until(lambda: first.finished, seconds=0.1)

    assert sorted(sent(mail_server)) == [mail_of(1, "ada"), mail_of(2, "grace")], (
        "the mails that were sent: the task of the first order was held at its first statement, until "
        "the second one had looked, and was sending"
    )
    assert database.rows(NOT_SENT) == [], "(id, attempts) of the rows that are not sent"


async def test_orders_in_flight_together_bring_one_mail_each(client, mail_server):
    """Requests overlap on any real server."""
    names = ["ada", "grace", "joan", "linus"]
    exchanges = await client.all_responded(
        client.begin("POST", "/orders", json=order(name), stop_at_response=True) for name in names
    )
    for exchange in reversed(exchanges):
        exchange.release()
    await client.finish(exchanges)

    numbers = [exchange.response.field("order_id") for exchange in exchanges]
    assert sorted((mail.to, mail.subject) for mail in mail_server.mails) == [
        (f"{name}@example.com", f"Order {number}")
        for name, number in zip(names, numbers, strict=True)
    ], "the mails of four orders in flight together: (To, Subject)"


async def test_other_requests_are_answered_while_the_mail_server_is_slow(
    client, mail_server, timeline
):
    """One slow mail server must not stop the whole shop."""
    async with client.in_flight("POST", "/orders", json=order()) as first:
        with mail_server.hold() as slow_mail:
            await first.until_responded()
            await slow_mail.until_reached()
            second = await client.begin("POST", "/orders", json={"email": ""}).until_responded()

    assert second.response.status_code == 422, (
        "the status of an order that is refused, while a mail is under way"
    )
    assert timeline.blocked() == [], (
        "a task worked on the event loop's thread, where every other request has to wait for it: "
        "an `async def` task runs on the loop, a `def` task runs in a worker thread"
    )


async def test_a_text_that_is_no_email_address_is_refused(client, database, mail_server):
    """A request that is refused must not leave an order or a mail."""
    refused = await client.post("/orders", json={"email": "not an address"})
    accepted = await client.post("/orders", json=order())

    assert (refused.status_code, accepted.status_code) == (422, 200), (
        "the statuses of a bad and a good one must be 422 and 200"
    )
    assert "detail" in refused.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert database.rows(ORDERS) == [(1, "ada@example.com")], "only the good one is stored"
    assert sent(mail_server) == [mail_of(1, "ada")], "only the good one has a mail"

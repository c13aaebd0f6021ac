"""A registration whose mail is a job of a queue, which a consumer in another process runs."""

import sqlite3

import pytest

from dojo.specs import time_of

ADA = {"name": "Ada", "email": "ada@example.com"}
GRACE = {"name": "Grace", "email": "grace@example.com"}
USERS = "SELECT name, email FROM users ORDER BY id"
WELCOMED = "SELECT welcomed_at FROM users ORDER BY id"

# How many statements and commits of a registration are looked at.
STEPS = 10

# In how many attempts a mail that fails is given up: three more than the first one, or the first
# one being one of them.
ATTEMPTS = (3, 4)


def values_in(argument):
    """The values that an argument is made of."""
    if isinstance(argument, dict):
        return [value for pair in argument.items() for each in pair for value in values_in(each)]
    if isinstance(argument, list | tuple | set):
        return [value for each in argument for value in values_in(each)]
    return [argument]


@pytest.fixture(autouse=True)
def there(kata, clock, database, mail_server):
    """All that a registration needs is there, and time stands still."""


async def test_the_client_is_told_that_the_user_is_registered(client):
    """The response is all that the client waits for."""
    response = await client.post("/register", json=ADA)

    assert response.status_code == 200, "the response's status must be 200"
    assert response.json() == {"status": "registered"}, "the response's body must be this JSON"


async def test_user_and_job_are_there_before_the_response(client, consumer, database):
    """What the client was told is written down, in the table and in the queue."""
    async with client.responded("POST", "/register", json=ADA):
        assert database.rows(USERS) == [("Ada", "ada@example.com")], (
            "at the moment of the response the user must be committed"
        )
        assert len(consumer.waiting()) == 1, "at that moment there must be one job in the queue"

    assert len(consumer.waiting()) == 1, "how many jobs there are when all has finished"
    assert database.rows(WELCOMED) == [(None,)], "nobody was welcomed yet"


async def test_the_job_is_queued_after_the_commit(client, timeline):
    """A consumer is quick: it may look for the user before there is one."""
    await client.post("/register", json=ADA)

    happened = timeline.order("commit users", "enqueued", "response")
    assert happened == ["commit users", "enqueued", "response"]


async def test_without_a_consumer_no_mail_leaves(client, consumer, mail_server, timeline):
    """The web process has other things to do, and may be stopped at any time."""
    for user in (ADA, GRACE):
        await client.post("/register", json=user)
    taken = await consumer.taken_by_others()

    assert mail_server.mails == [], "the mails that were sent without a consumer"
    assert taken == [], "what the web process has taken out of the queue, or started for that"
    assert len(consumer.waiting()) == 2, "how many jobs wait"


async def test_the_module_starts_no_consumer(kata, client, consumer, restart):
    """Two web processes would be two consumers, and none when the web is not needed."""
    await client.post("/register", json=ADA)
    again = await restart.client()
    await again.post("/register", json=GRACE)
    taken = await consumer.taken_by_others()

    assert taken == [], "what was started, or taken, on import or at start-up"
    assert kata.queue.immediate is False, "`queue.immediate` must stay false"
    assert len(consumer.waiting()) == 2, "how many jobs wait"


async def test_a_consumer_sends_the_welcome_mail(client, consumer, mail_server, timeline):
    """In another process, with nothing but what the job carries and the table says."""
    users = [ADA, {"name": "Zoë von Łukasz 陽子", "email": "Zoe.Lukasz@example.com"}]
    for user in users:
        await client.post("/register", json=user)
    jobs = await consumer.run()

    assert jobs == 2, "how many jobs the consumer has run"
    assert [(mail.from_, mail.to, mail.subject, mail.body) for mail in mail_server.mails] == [
        ("noreply@example.com", user["email"], "Welcome!", f"Welcome {user['name']}!")
        for user in users
    ], "the mails that were sent: (From, To, Subject, body)"
    assert consumer.errors == [], "the exceptions that came out of the jobs"
    assert consumer.waiting() == [], "no job is left"
    assert timeline.order("response", "job", "mail")[:3] == ["response", "job", "mail"]


async def test_a_user_that_was_welcomed_has_a_time(client, clock, consumer, database):
    """The table says who still waits for a mail."""
    await client.post("/register", json=ADA)
    clock.tick(90)
    moment = clock.now
    await consumer.run()
    times = [time_of(row[0]) for row in database.rows(WELCOMED)]

    assert [str(time) for time in times] == [str(moment)], (
        "welcomed_at, ISO 8601 with an offset: the consumer ran 90 s after the registration"
    )


async def test_the_job_carries_plain_numbers_and_text(client, consumer):
    """A message outlives the code and the row that it was made from."""
    await client.post("/register", json={"name": "Quintessa", "email": "quint@example.com"})
    jobs = consumer.waiting()
    assert len(jobs) == 1, "how many jobs are in the queue"
    values = [value for argument in jobs[0].arguments for value in values_in(argument)]

    kinds = {type(value).__name__ for value in values}
    assert kinds <= {"int", "float", "str", "bool", "NoneType"}, (
        "the types of what the job carries: plain numbers and text, such as the user's id"
    )
    assert values != [], "the job must say whom it is about"
    found = [text for text in ("quint", "Quintessa") if text.encode() in jobs[0].message]
    assert found == [], (
        f"what the message says of the user, beside a number: {values}. Everybody who can read the queue "
        "can read it, and it is out of date when it is changed"
    )


async def test_what_the_mail_says_is_read_when_the_job_runs(
    client, consumer, database, mail_server
):
    """People correct their names while the queue is long."""
    await client.post("/register", json=ADA)
    number = database.rows("SELECT max(id) FROM users")[0][0]
    database.delete("users")
    database.insert("users", {"id": number, "name": "Augusta", "email": "augusta@example.com"})
    await consumer.run()

    assert [(mail.to, mail.body) for mail in mail_server.mails] == [
        ("augusta@example.com", "Welcome Augusta!")
    ], "the mail, where name and address were changed after the registration: (To, body)"


@pytest.mark.parametrize("trouble", ["down", "refusing"])
async def test_a_mail_that_fails_is_tried_again_a_minute_later(
    client, clock, consumer, database, mail_server, timeline, trouble
):
    """By the queue: a job that sleeps keeps a consumer from everything else."""
    await client.post("/register", json=ADA)
    mail_server.go_down() if trouble == "down" else mail_server.refuse()
    await consumer.run()
    first = len(timeline.of("refused"))
    clock.tick(59)
    early = await consumer.run()
    mail_server.recover()
    clock.tick(1)
    moment = clock.now
    due = await consumer.run()
    times = [time_of(row[0]) for row in database.rows(WELCOMED)]

    assert first == 1, "how often the mail server has refused it by then: once for each attempt"
    assert (early, due) == (0, 1), "how many jobs are due 59 s, and 60 s, after the first attempt"
    assert [mail.to for mail in mail_server.mails] == ["ada@example.com"], (
        "the mails that were sent: the mail server was there again for the second attempt"
    )
    assert [str(time) for time in times] == [str(moment)], "welcomed_at: when the mail was sent"
    assert timeline.of("sleep") == [], "the job must not sleep"
    assert consumer.waiting() == [], "no job is left"


async def test_it_is_not_tried_for_ever(
    client, clock, consumer, database, logs, mail_server, timeline
):
    """A person must look at it in the end, and the log must say so."""
    await client.post("/register", json=ADA)
    mail_server.go_down()
    runs, logged = [], [0]
    for _ in range(7):
        runs.append(await consumer.run())
        logged.append(len(logs.failures))
        clock.tick(60)

    attempts = len(timeline.of("refused"))
    assert attempts in ATTEMPTS, (
        f"how often the mail server was asked, of {ATTEMPTS}; jobs that were run, minute by minute: {runs}"
    )
    assert runs == [1] * attempts + [0] * (7 - attempts), "the jobs that were run, minute by minute"
    assert consumer.waiting() == [], "no job is left after the last attempt"
    assert logged[attempts] > logged[attempts - 1], (
        "after the last attempt it must be logged to the logger `kata`, as WARNING or above; how many "
        f"records there were after each run: {logged[1:]}"
    )
    assert database.rows(WELCOMED) == [(None,)], "welcomed_at stays null"
    assert timeline.of("sleep") == [], "the job must not sleep"


async def test_the_last_attempt_can_succeed(client, clock, consumer, mail_server):
    """The last chance is a chance."""
    await client.post("/register", json=ADA)
    mail_server.go_down()
    await consumer.run()
    clock.tick(60)
    await consumer.run()
    mail_server.recover()
    clock.tick(60)
    await consumer.run()

    assert [mail.to for mail in mail_server.mails] == ["ada@example.com"], (
        "the mails that were sent: two attempts failed, the third one could succeed"
    )


async def test_a_job_that_is_delivered_twice_sends_one_mail(
    client, clock, consumer, database, mail_server
):
    """A queue delivers at least once: sometimes twice, and then perhaps to another process."""
    await client.post("/register", json=ADA)
    job = consumer.take()
    assert job is not None, "there must be a job in the queue"
    await consumer.deliver(job)
    first = database.rows(WELCOMED)
    clock.tick(30)
    await consumer.deliver(job)
    consumer.start_again()
    await consumer.deliver(job)

    assert [mail.to for mail in mail_server.mails] == ["ada@example.com"], (
        "the mails that were sent; the third delivery was to a consumer that was started again"
    )
    assert consumer.errors == [], "the exceptions that came out of the job"
    assert database.rows(WELCOMED) == first, "welcomed_at: when the mail was sent, the first time"
    assert consumer.waiting() == [], "no job is left"


async def test_a_user_that_was_deleted_gets_no_mail(client, consumer, database, mail_server):
    """What was there when the job was queued need not be there when it runs."""
    await client.post("/register", json=ADA)
    database.delete("users")
    jobs = await consumer.run()

    assert jobs == 1, "how many jobs the consumer has run"
    assert mail_server.mails == [], "the mails that were sent"
    assert consumer.errors == [], "the exceptions that came out of the job"
    assert consumer.waiting() == [], "there is nothing to try again"


@pytest.mark.parametrize("text", ["not an address", "eve@", "@example.com"])
async def test_a_text_that_is_no_email_address_is_refused(client, consumer, database, text):
    """A request that is refused must not leave a user or a job."""
    refused = await client.post("/register", json={"name": "Eve", "email": text})
    accepted = await client.post("/register", json=ADA)

    assert (refused.status_code, accepted.status_code) == (422, 200), (
        "the statuses of a bad and a good one must be 422 and 200"
    )
    assert "detail" in refused.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert database.rows(USERS) == [("Ada", "ada@example.com")], "only the good one is stored"
    assert len(consumer.waiting()) == 1, "only the good one has a job"


@pytest.mark.parametrize("again", ["ada@example.com", "ada@EXAMPLE.com"])
async def test_an_address_already_registered_is_refused(client, consumer, database, again):
    """One address, one user. EmailStr has the domain in lower case, and that is what counts."""
    first = await client.post("/register", json=ADA)
    second = await client.post("/register", json={"name": "Another Ada", "email": again})

    assert (first.status_code, second.status_code) == (200, 409), (
        "the statuses of the first and the second must be 200 and 409"
    )
    assert "detail" in second.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert database.rows(USERS) == [("Ada", "ada@example.com")], "there must be no second row"
    assert len(consumer.waiting()) == 1, "there must be no second job"


async def test_of_two_registrations_at_the_same_moment_one_is_refused(client, consumer, database):
    """Between looking whether an address is free and taking it, somebody else takes it."""
    for step in range(STEPS):
        email = f"ada{step}@example.com"
        body = {"name": "Ada", "email": email}
        async with client.in_flight("POST", "/register", json=body, crashes=True) as first:
            with database.hold_step(step, in_task=False):
                held = await first.until_held()
                second = client.begin("POST", "/register", json=body, crashes=True)
                await client.finish_what_can([first, second])

        moment = (
            "two registrations of one address; the first was held at its statement or commit number "
            f"{step + 1} while the second ran through"
        )
        assert sorted([first.response.status_code, second.response.status_code]) == [200, 409], (
            f"the statuses of {moment}"
        )
        assert len(database.rows("SELECT id FROM users WHERE email = ?", email)) == 1, (
            f"how many rows there are after {moment}"
        )
        assert len(consumer.waiting()) == step + 1, f"how many jobs there are after {moment}"
        if not held:
            break


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(sqlite3.OperationalError("database or disk is full"), id="disk full"),
        pytest.param(ConnectionError("no such queue"), id="not reachable"),
    ],
)
async def test_where_the_job_cannot_be_queued_no_user_is_left(client, consumer, database, error):
    """A user without a mail would wait for it for ever, and could not register again."""
    other = ("Ada", "lovelace@example.com")
    database.insert("users", {"id": 1, "name": other[0], "email": other[1]})
    consumer.refuse_jobs(error)
    refused = await client.post("/register", json=ADA, crashes=True)
    left = database.rows(USERS)
    consumer.accept_jobs()
    accepted = await client.post("/register", json=ADA, crashes=True)

    assert refused.status_code == 503, "the status where the queue takes no job"
    assert "detail" in refused.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert left == [other], "the users that are left then: another Ada had registered before"
    assert accepted.status_code == 200, "the status when the queue takes jobs again"
    assert (database.rows(USERS), len(consumer.waiting())) == (
        [other, ("Ada", "ada@example.com")],
        1,
    ), "the users and the number of jobs in the end"


async def test_registrations_in_flight_do_not_mix(client, consumer, mail_server):
    """Requests overlap on any real server: nothing may be shared between them."""
    exchanges = await client.all_responded(
        client.begin("POST", "/register", json=user, stop_at_response=True) for user in (ADA, GRACE)
    )
    await client.finish(reversed(exchanges))
    await consumer.run()

    assert sorted((mail.to, mail.body) for mail in mail_server.mails) == [
        ("ada@example.com", "Welcome Ada!"),
        ("grace@example.com", "Welcome Grace!"),
    ], "two registrations in flight together: (To, body) of the mails"

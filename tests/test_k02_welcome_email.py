"""A registration: its user, its response and its mail."""

import pytest

ADA = {"name": "Ada", "email": "ada@example.com"}
GRACE = {"name": "Grace", "email": "grace@example.com"}
USERS = "SELECT name, email FROM users ORDER BY id"

# How many statements and commits of a registration are looked at.
STEPS = 8


async def test_the_client_is_told_that_the_user_is_registered(client, mail_server):
    """The response is all that the client waits for."""
    response = await client.post("/register", json=ADA)

    assert response.status_code == 200, "the response's status must be 200"
    assert response.json() == {"status": "registered"}, "the response's body must be this JSON"


async def test_the_user_is_committed_before_the_response(client, database, mail_server):
    """A client that reads "registered" may log in at once."""
    async with client.responded("POST", "/register", json=ADA):
        assert database.rows(USERS) == [("Ada", "ada@example.com")], (
            "at the moment of the response the user is not committed: another connection does not see it"
        )


async def test_the_mail_leaves_only_after_the_response(client, mail_server, timeline):
    """The client must not wait for a mail server."""
    await client.post("/register", json=ADA)

    assert timeline.order("response", "mail") == ["response", "mail"]


async def test_one_registration_sends_one_welcome_mail(client, mail_server):
    """Each new user gets exactly one mail, with the right name in it."""
    await client.post("/register", json=ADA)

    assert [(mail.from_, mail.to, mail.subject, mail.body) for mail in mail_server.mails] == [
        ("noreply@example.com", "ada@example.com", "Welcome!", "Welcome Ada!")
    ], "the mails that were sent: (From, To, Subject, body)"
    assert (mail_server.mails[0].sender, mail_server.mails[0].recipients) == (
        "noreply@example.com",
        ["ada@example.com"],
    ), "whom the mail server was told (MAIL FROM, RCPT TO), which is where mails that bounce go"


async def test_a_name_outside_ascii_arrives_intact(client, mail_server):
    """Most of the world's names have letters outside ASCII, and a plain text needs no escapes."""
    names = ["Zoë von Łukasz 陽子", "Zoë O'Neill & <{0}> 100 %s"]
    for number, name in enumerate(names):
        await client.post("/register", json={"name": name, "email": f"zoe{number}@example.com"})

    assert [mail.body for mail in mail_server.mails] == [f"Welcome {name}!" for name in names], (
        "EmailMessage.set_content and SMTP.send_message take care of the encoding"
    )


async def test_each_mail_goes_to_the_one_who_registered(client, mail_server):
    """Registrations overlap on any real server: nothing may be shared between them."""
    with mail_server.hold_connections():
        exchanges = [
            await client.begin(
                "POST", "/register", json=user, stop_at_response=True
            ).until_responded()
            for user in (ADA, GRACE)
        ]
        await client.finish_what_can(exchanges)
    await client.finish(exchanges)

    assert sorted((mail.to, mail.body) for mail in mail_server.mails) == [
        ("ada@example.com", "Welcome Ada!"),
        ("grace@example.com", "Welcome Grace!"),
    ], (
        "two registrations in flight together, one of them held up on its way: (To, body) of the mails"
    )


async def test_send_email_is_a_plain_function(kata, mail_server):
    """A plain function can be called, and tested, without a server."""
    kata.send_email("grace@example.com", "Hello", "How are you?")

    assert [(mail.to, mail.subject, mail.body) for mail in mail_server.mails] == [
        ("grace@example.com", "Hello", "How are you?")
    ], "send_email(email, subject, body) sends just that mail: (To, Subject, body)"


async def test_the_smtp_session_ends_with_quit(client, mail_server):
    """A server that is left without a word keeps the connection open for minutes."""
    await client.post("/register", json=ADA)

    assert {session.quit for session in mail_server.sessions} == {True}, (
        "each SMTP session must end with QUIT: `with smtplib.SMTP(...)` sees to it, or `quit()`"
    )


async def test_a_refused_mail_leaves_no_connection_open(client, mail_server):
    """Each failure that leaves a connection open takes one away, until there are none left."""
    mail_server.refuse()

    await client.post("/register", json=ADA)

    assert {session.closed for session in mail_server.sessions} == {True}, (
        "the server refused the mail, and the connection is still open when the task has ended: "
        "`quit()` is skipped when `send_message` raises, so use `with smtplib.SMTP(...)` or `finally`"
    )


@pytest.mark.parametrize("trouble", ["down", "refusing"])
async def test_a_mail_server_in_trouble_changes_nothing_for_the_client(
    client, database, mail_server, trouble
):
    """The user is registered, whatever becomes of the mail."""
    mail_server.go_down() if trouble == "down" else mail_server.refuse()

    response = await client.post("/register", json=ADA)

    assert (response.status_code, response.json()) == (200, {"status": "registered"}), (
        "the response must not show that the mail failed"
    )
    assert database.rows(USERS) == [("Ada", "ada@example.com")], "the user must still be there"
    assert mail_server.mails == [], "nothing can have been delivered"


async def test_other_requests_are_answered_while_the_mail_server_is_slow(
    client, mail_server, timeline
):
    """One slow mail server must not stop the whole shop."""
    async with client.in_flight("POST", "/register", json=ADA) as ada:
        with mail_server.hold() as slow_mail:
            await ada.until_responded()
            await slow_mail.until_reached()
            await client.begin("POST", "/register", json=GRACE).until_responded()

    assert timeline.blocked() == [], (
        "a mail was sent on the event loop's thread, where every other request has to wait for the mail server: "
        "an `async def` task runs on the loop, a `def` task runs in a worker thread"
    )


@pytest.mark.parametrize("text", ["not an address", "eve@", "@example.com", "eve@a@example.com"])
async def test_a_text_that_is_no_email_address_is_refused(client, database, mail_server, text):
    """A request that is refused must not leave a user or a mail."""
    refused = await client.post("/register", json={"name": "Eve", "email": text})
    accepted = await client.post("/register", json=ADA)

    assert (refused.status_code, accepted.status_code) == (422, 200), (
        "the statuses of a bad and a good one must be 422 and 200"
    )
    assert "detail" in refused.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert database.rows(USERS) == [("Ada", "ada@example.com")], "only the good one is stored"
    assert [mail.to for mail in mail_server.mails] == ["ada@example.com"], (
        "only the good one gets mail"
    )


@pytest.mark.parametrize("again", ["ada@example.com", "ada@EXAMPLE.com"])
async def test_an_address_already_registered_is_refused(client, database, mail_server, again):
    """One address, one user. EmailStr has the domain in lower case, and that is what counts."""
    first = await client.post("/register", json=ADA)
    second = await client.post("/register", json={"name": "Another Ada", "email": again})

    assert (first.status_code, second.status_code) == (200, 409), (
        "the statuses of the first and the second must be 200 and 409"
    )
    assert "detail" in second.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert database.rows(USERS) == [("Ada", "ada@example.com")], "there must be no second row"
    assert len(mail_server.mails) == 1, "there must be no second mail"


async def test_an_address_that_the_table_held_before_is_refused(client, database, mail_server):
    """The table knows who is registered, and it outlives the server that wrote to it."""
    database.insert("users", {"name": "Ada", "email": "ada@example.com"})

    response = await client.post("/register", json=ADA, crashes=True)

    assert response.status_code == 409, "the status for an address that is in the table already"
    assert database.rows(USERS) == [("Ada", "ada@example.com")], "there must be no second row"
    assert mail_server.mails == [], "there must be no mail"


async def test_of_two_registrations_at_the_same_moment_one_is_refused(
    client, database, mail_server
):
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
            f"two registrations of one address; the first was held at its statement or commit number {step + 1} "
            "while the second ran through"
        )
        assert sorted([first.response.status_code, second.response.status_code]) == [200, 409], (
            f"the statuses of {moment}"
        )
        assert len(database.rows("SELECT id FROM users WHERE email = ?", email)) == 1, (
            f"how many rows there are after {moment}"
        )
        assert [mail.to for mail in mail_server.mails].count(email) == 1, (
            f"how many mails left after {moment}"
        )
        if not held:
            break


async def test_addresses_that_differ_belong_to_different_users(client, database, mail_server):
    """EmailStr keeps the part before the @ as it was typed, and mail goes to the address as it is stored."""
    emails = ["ada@example.com", "Ada@example.com", "ada+tea@example.com"]
    statuses = [
        (await client.post("/register", json={"name": "Ada", "email": email})).status_code
        for email in emails
    ]

    assert statuses == [200, 200, 200], "the statuses: these are three addresses"
    assert [mail.to for mail in mail_server.mails] == emails, (
        "each mail goes to the address that registered, letter by letter"
    )

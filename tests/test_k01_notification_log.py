"""A notification: its response, and the line that is logged after it."""

import os

URL = "/send-notification"
ADA = {"email": "ada@example.com"}


async def test_the_client_is_told_that_the_notification_is_queued(client):
    """The response is all that the client waits for."""
    response = await client.post(URL, params=ADA)

    assert response.status_code == 200, "the response's status must be 200"
    assert response.json() == {"status": "notification queued"}, (
        "the response's body must be this JSON"
    )


async def test_the_line_is_written_only_after_the_response(client, disk, timeline):
    """A slow disk must not keep the client waiting."""
    async with client.responded("POST", URL, params=ADA):
        assert disk.lines("log.txt") == [], timeline.early(
            "write",
            "the line was written before the response",
        )

    assert disk.lines("log.txt") == ["Notified: ada@example.com"], (
        "when the exchange has finished, the line must be there"
    )


async def test_writing_in_a_task_does_not_hold_up_the_event_loop(client, disk, timeline):
    """While one notification is written, the server has other requests to serve."""
    await client.post(URL, params=ADA)

    assert disk.lines("log.txt") == ["Notified: ada@example.com"], "the line must be written"
    assert timeline.order("response", "write") == ["response", "write"], timeline.early(
        "write", "the line was written before the response, so no background task has written it"
    )
    assert timeline.blocked() == [], (
        "a task or a middleware used a file on the event loop's thread, where every other request has to wait for the disk: "
        "what is `async def` runs on the loop, a `def` task runs in a worker thread"
    )


async def test_the_exchange_ends_only_when_the_line_is_written(client, disk, timeline):
    """Work that nobody waits for is lost when the server stops, and nobody sees it fail."""
    async with client.in_flight("POST", URL, params=ADA) as exchange:
        with disk.hold("log.txt"):
            await exchange.until_responded()
            assert timeline.order("write", "response")[:1] == ["response"], timeline.early(
                "write", "the line was written before the response"
            )
            await client.finish_what_can([exchange])
            assert disk.lines("log.txt") or not exchange.finished, (
                "the exchange had finished, and the line was not written yet: a task that hands its work to somebody else "
                "must wait until the work is done"
            )

    assert disk.lines("log.txt") == ["Notified: ada@example.com"], "the line must be written"


async def test_each_request_adds_a_line_of_its_own(client, disk):
    """A log must keep every line that was ever written to it, also by the server of yesterday."""
    disk.put("log.txt", "Notified: edsger@example.com\n")
    for name in ("ada", "grace"):
        await client.post(URL, params={"email": f"{name}@example.com"})
    with disk.hold("log.txt"):
        exchanges = await client.all_responded(
            client.begin("POST", URL, params=ADA, stop_at_response=True) for _ in range(2)
        )
        await client.finish_what_can(exchanges)
    await client.finish(exchanges)

    assert disk.lines("log.txt") == [
        "Notified: edsger@example.com",
        "Notified: ada@example.com",
        "Notified: grace@example.com",
        "Notified: ada@example.com",
        "Notified: ada@example.com",
    ], (
        "each request adds one line at the end, and none replaces another: the first line was there before, and the "
        "last two are of two requests for one address in flight together"
    )


async def test_twenty_requests_in_flight_leave_twenty_whole_lines(client, disk):
    """Requests overlap on any real server: nothing may be shared between them, or lost."""
    emails = [f"user{number}@example.com" for number in range(20)]
    with disk.hold("log.txt"), disk.hold("log.txt", step=2):
        exchanges = await client.all_responded(
            client.begin("POST", URL, params={"email": email}, stop_at_response=True)
            for email in emails
        )
        await client.finish_what_can(exchanges)
    await client.finish(exchanges)

    assert sorted(disk.lines("log.txt")) == sorted(f"Notified: {email}" for email in emails), (
        "each of the twenty addresses must be there once, on a line of its own: a line goes missing when the whole "
        "file is read and written again, and is wrong when requests share a variable"
    )


async def test_write_log_appends_a_line_to_any_file(kata, disk):
    """`write_log` is a plain function that can be used, and tested, without a server."""
    kata.write_log("other.txt", "  First\tline ")
    kata.write_log("other.txt", "second, zoë")

    assert disk.bytes("other.txt").replace(os.linesep.encode(), b"\n").decode() == (
        "  First\tline \nsecond, zoë\n"
    ), (
        "write_log(filename, message) creates the file where there is none, and adds the message as it is and a newline"
    )


async def test_the_log_is_utf_8_whatever_the_locale(client, disk):
    """The next machine may have another locale, and the log must not depend on it."""
    with disk.foreign_locale():
        await client.post(URL, params={"email": "zoë@example.com"})
        await client.post(URL, params={"email": "ada@example.com"})

    assert disk.lines("log.txt") == ["Notified: zoë@example.com", "Notified: ada@example.com"], (
        "a file opened without `encoding` is read and written in whatever the machine's locale says, "
        "and here that is not UTF-8"
    )


async def test_any_text_is_taken_for_an_email(client, disk):
    """This kata is not about addresses: what comes as `email` is logged as it is."""
    texts = [
        "not an address",
        "Ada@Example.COM",
        " <Ada> ada+log@example.com  ",
        "100 % of {all} \\n %s and {0} & %41",
        "\ufb01ve \uff21\uff24\uff21 e\u0301",
        "a" * 500,
    ]
    responses = [await client.post(URL, params={"email": text}) for text in texts]

    assert [response.status_code for response in responses] == [200] * len(texts), (
        "the responses' statuses must all be 200"
    )
    assert disk.lines("log.txt") == [f"Notified: {text}" for text in texts], (
        "the lines that were logged, exactly as the texts came"
    )


async def test_without_an_email_nothing_is_written(client, disk):
    """A request that is refused must not leave a line."""
    refused = await client.post(URL)
    accepted = await client.post(URL, params=ADA)

    assert refused.status_code == 422, "an e-mail address is required"
    assert "detail" in refused.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert accepted.status_code == 200, (
        "the response's status must be 200 where there is an address"
    )
    assert disk.lines("log.txt") == ["Notified: ada@example.com"], "only the accepted one is logged"

"""An announcement to many: how many calls are under way at a time, and what becomes of each."""

import httpx
import pytest

from dojo.doubles.http import broken, hung_up, silence, timeout, unreachable

TEA = {"text": " Fresh tea is in: 龍井.\n"}
NAMES = ["ada", "edsger", "grace", "joan", "linus", "margaret", "radia"]
LIMIT = 3
ENDED = (
    "SELECT subscriber_id, status FROM deliveries "
    "WHERE status IN ('delivered', 'failed') ORDER BY subscriber_id"
)


def url(name):
    return f"https://{name}.example.com/hook"


def subscribe(database, services, names=NAMES):
    """Have subscribers, numbered from 1; their services by name."""
    database.insert(
        "subscribers", *({"id": number, "url": url(name)} for number, name in enumerate(names, 1))
    )
    return {name: services.on("POST", url(name)) for name in names}


def number_of(exchange):
    return exchange.response.field("announcement_id")


async def state_of(client, number):
    """The announcement as GET shows it: (state, delivered, failed)."""
    response = await client.begin("GET", f"/announcements/{number}").until_responded()
    body = response.response.json()
    assert response.response.status_code == 200, "the status of GET /announcements/{id}"
    assert set(body) >= {"announcement_id", "state", "delivered", "failed"}, (
        f"GET must say each of these; its body is {body}"
    )
    assert body["announcement_id"] == number, "the id in the body of GET /announcements/{id}"
    return body["state"], body["delivered"], body["failed"]


@pytest.fixture(autouse=True)
def there(kata, database, services):
    """All that an announcement needs is there."""


async def test_the_client_gets_the_number_of_the_announcement(client, database, services):
    """The number is what it is asked for by."""
    subscribe(database, services)
    responses = [await client.post("/announcements", json=TEA) for _ in range(2)]

    assert [response.status_code for response in responses] == [202, 202], "both statuses"
    assert [response.json() for response in responses] == [
        {"announcement_id": 1},
        {"announcement_id": 2},
    ], "the responses' bodies must be this JSON"


async def test_each_subscriber_gets_one_call_after_the_response(
    client, database, services, timeline
):
    """Nobody is left out, nobody is told twice, and the client waits for none of them."""
    told = subscribe(database, services)
    database.insert("subscribers", {"id": len(NAMES) + 1, "url": url("ada")})
    await client.post("/announcements", json=TEA)

    assert {name: [call.json for call in service.calls] for name, service in told.items()} == {
        name: [TEA, TEA] if name == "ada" else [TEA] for name in NAMES
    }, "the JSON bodies of the calls to each url; two subscribers have the url of ada"
    kinds = {service.calls[0].headers.get("content-type", "") for service in told.values()}
    assert {kind.partition(";")[0] for kind in kinds} == {"application/json"}, (
        "the header Content-Type of the calls: `json=` sets it, `content=` does not"
    )
    assert timeline.order("response", "call") == ["response", "call"]


async def test_as_many_calls_as_allowed_are_under_way(client, database, services):
    """Seven seconds of waiting take two or three, and nobody's server is overrun."""
    subscribe(database, services)
    async with client.in_flight("POST", "/announcements", json=TEA):
        with services.hold_each() as calls:
            await calls.until(LIMIT)
            await client.give_turns()
            together = len(calls.urls)

    assert together == LIMIT, f"how many calls are under way at a time, where {LIMIT} are allowed"
    assert calls.most == LIMIT, "how many calls were under way at most"


async def test_a_place_that_becomes_free_is_taken_at_once(client, database, services, timeline):
    """In batches, the slowest of three keeps two places empty."""
    subscribe(database, services)
    async with client.in_flight("POST", "/announcements", json=TEA) as exchange:
        with services.hold_each() as calls:
            await calls.until(LIMIT)
            slowest = calls.urls[0]
            for ended in range(1, len(NAMES) - LIMIT + 1):
                calls.release(calls.urls[-1])
                assert await client.until(lambda: len(calls.urls) >= LIMIT), (
                    f"{ended} call(s) have ended, the first one has not, and {len(calls.urls)} are under "
                    f"way, where {LIMIT} are allowed and {len(NAMES) - LIMIT - ended + 1} more wait"
                )
            assert slowest in calls.urls, "the first call is still under way"
            await client.give_turns()
            state, _, _ = await state_of(client, number_of(exchange))

    assert state == "sending", "the state that GET says while the last calls are under way"
    assert calls.most == LIMIT, f"how many calls were under way at most; {LIMIT} are allowed"
    assert timeline.of("sleep") == [], (
        "who sleeps until it looks for a free place again takes it late: wait for the place itself"
    )


async def test_fewer_subscribers_than_places_are_called_together(client, database, services):
    """Nobody waits for a place that is free."""
    subscribe(database, services, NAMES[:2])
    async with client.in_flight("POST", "/announcements", json=TEA):
        with services.hold_each() as calls:
            await calls.until(2)

    assert calls.most == 2, "how many calls were under way at most, of two"


async def test_each_announcement_has_places_of_its_own(client, database, services):
    """One with slow subscribers must not hold up another one."""
    subscribe(database, services)
    async with client.in_flight("POST", "/announcements", json=TEA):
        with services.hold_each() as calls:
            await calls.until(LIMIT)
            second = client.begin("POST", "/announcements", json={"text": "And jam."})
            await second.until_responded()
            await calls.until(2 * LIMIT)
            await client.give_turns()
            together = len(calls.urls)

    assert together == 2 * LIMIT, (
        f"how many calls of two announcements are under way, where {LIMIT} of each are allowed"
    )


async def test_a_row_is_committed_when_its_call_has_ended(client, database, services):
    """Somebody who looks meanwhile sees how far it is."""
    told = subscribe(database, services)
    told["edsger"].replies_with(500)
    async with client.in_flight("POST", "/announcements", json=TEA) as exchange:
        with services.hold_each() as calls:
            await calls.until(LIMIT)
            before = database.rows(ENDED), await state_of(client, number_of(exchange))
            called = calls.urls[1:]
            for each in called:
                calls.release(each)
            assert await client.until(lambda: len(database.rows(ENDED)) == 2), (
                "two calls have ended, and the first one has not: the rows that are committed, "
                f"(subscriber_id, status), are {database.rows(ENDED)}"
            )
            rows, state = database.rows(ENDED), await state_of(client, number_of(exchange))

    assert before == ([], ("sending", 0, 0)), (
        "the rows while no call has ended, and what GET says: (state, delivered, failed)"
    )
    ended = {
        NAMES.index(each.removeprefix("https://").partition(".")[0]) + 1: "failed"
        if each == url("edsger")
        else "delivered"
        for each in called
    }
    assert dict(rows) == ended, "the status of each call that has ended, by subscriber"
    failed = list(ended.values()).count("failed")
    assert state == ("sending", 2 - failed, failed), "what GET says: (state, delivered, failed)"


async def test_in_the_end_it_is_sent(client, database, services):
    """The counts are the announcement's own."""
    told = subscribe(database, services)
    told["linus"].replies_with(404, 200)
    told["joan"].replies_with(unreachable, 200)
    exchange = client.begin("POST", "/announcements", json=TEA)
    await exchange.until_finished()
    second = await client.post("/announcements", json=TEA)

    assert await state_of(client, number_of(exchange)) == ("sent", 5, 2), (
        "what GET says of an announcement of which two calls failed: (state, delivered, failed)"
    )
    assert await state_of(client, second.field("announcement_id")) == ("sent", 7, 0), (
        "what GET says of the next one, of which none failed"
    )
    assert len(database.rows(ENDED)) == 14, "how many rows there are: one for each call"


async def test_it_is_sending_from_the_response_on(client, database, services):
    """A client that asks at once must not be told that all is done."""
    subscribe(database, services)
    async with client.responded("POST", "/announcements", json=TEA) as exchange:
        state = await state_of(client, number_of(exchange))

    assert state == ("sending", 0, 0), (
        "what GET says between the response and the task: (state, delivered, failed)"
    )


async def test_with_no_subscribers_it_is_sent_at_once(client):
    """There is nothing to wait for."""
    async with client.responded("POST", "/announcements", json=TEA) as exchange:
        state = await state_of(client, number_of(exchange))

    assert state == ("sent", 0, 0), "what GET says at the response: (state, delivered, failed)"
    assert await state_of(client, number_of(exchange)) == ("sent", 0, 0), "what it says afterwards"


async def test_an_unknown_announcement_is_a_404(client, database, services):
    """There is nothing to follow, and the client is told so."""
    subscribe(database, services)
    await client.post("/announcements", json=TEA)
    unknown = await client.get("/announcements/2")

    assert unknown.status_code == 404, "the status of an announcement that is not there"
    assert "detail" in unknown.json(), "a refusal has FastAPI's usual body, {'detail': ...}"
    assert (await state_of(client, 1))[0] == "sent", "the state of the one that is there"


async def test_the_subscribers_are_those_of_the_moment_of_the_request(client, database, services):
    """Who comes later has missed it, and who leaves later has been promised it."""
    told = subscribe(database, services, NAMES[:2])
    later = services.on("POST", url("later"))
    async with client.responded("POST", "/announcements", json=TEA) as exchange:
        database.delete("subscribers")
        database.insert("subscribers", {"id": 9, "url": url("later")})

    assert ([len(service.calls) for service in told.values()], len(later.calls)) == ([1, 1], 0), (
        "the calls of two who had subscribed at the moment of the request, and of one who came after it"
    )
    assert await state_of(client, number_of(exchange)) == ("sent", 2, 0), "what GET says"


@pytest.mark.parametrize(
    "reply",
    [
        *(pytest.param(status, id=f"status {status}") for status in (300, 404, 429, 500, 520)),
        pytest.param(httpx.Response(307, headers={"location": url("elsewhere")}), id="a redirect"),
        pytest.param(silence, id="no response in time"),
        pytest.param(timeout("connect"), id="no connection in time"),
        pytest.param(unreachable, id="not reachable"),
        pytest.param(broken("read"), id="broken off"),
        pytest.param(hung_up, id="closed without a response"),
    ],
)
async def test_a_call_that_fails_takes_no_other_along(client, database, services, timeline, reply):
    """One subscriber in trouble is no reason to be silent to the others."""
    told = subscribe(database, services)
    elsewhere = services.on("POST", url("elsewhere"))
    told["edsger"].replies_with(reply)

    response = await client.post("/announcements", json=TEA, crashes=True)

    assert response.status_code == 202, "the response's status must be 202"
    assert not told["edsger"].endless, (
        "the call has no time limit: with `timeout=None` it waits for ever"
    )
    assert database.rows(ENDED) == [
        (number, "failed" if name == "edsger" else "delivered")
        for number, name in enumerate(NAMES, 1)
    ], "(subscriber_id, status) of all rows: only the second call failed"
    detail = database.rows("SELECT detail FROM deliveries WHERE status = 'failed'")[0][0]
    assert detail, (
        "a row with `failed` must have a detail that is not empty: `str()` of some httpx errors is an "
        f"empty text, `repr()` is not; it is {detail!r}"
    )
    assert [len(service.calls) for service in told.values()] == [1] * 7, "each is called once"
    assert elsewhere.calls == [], "a redirect is not 2xx, and is not followed"
    assert await state_of(client, 1) == ("sent", 6, 1), "what GET says: (state, delivered, failed)"
    assert timeline.blocked() == [], "nothing may block the event loop in a task"


async def test_all_are_called_where_each_call_fails(client, database, services):
    """A machine that is down takes all its apps along, and must not take anybody's place."""
    told = subscribe(database, services)
    for service in told.values():
        service.replies_with(503)
    await client.post("/announcements", json=TEA)

    assert [len(service.calls) for service in told.values()] == [1] * len(NAMES), (
        "how often each subscriber was called: every call failed"
    )
    assert await state_of(client, 1) == ("sent", 0, len(NAMES)), (
        "what GET says: (state, delivered, failed)"
    )


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_is_delivered(client, database, services, status):
    """Every status from 200 to 299 says that it arrived."""
    subscribe(database, services, ["ada"])["ada"].replies_with(httpx.Response(status))

    await client.post("/announcements", json=TEA)

    assert database.rows(ENDED) == [(1, "delivered")], f"the row, where the response is {status}"


@pytest.mark.parametrize("after", [pytest.param(0, id="none"), pytest.param(2, id="some")])
async def test_a_database_in_trouble_ends_it_too(client, database, services, after):
    """A client that asks for ever is told `sending` for ever."""
    subscribe(database, services)
    async with client.responded("POST", "/announcements", json=TEA, crashes=True) as exchange:
        database.fail_changes("deliveries", after=after)
    database.heal()
    known = database.rows(ENDED)
    state, delivered, failed = await state_of(client, number_of(exchange))

    assert state == "sent", (
        "the state when the task has ended, where no row, or not every row, could be stored"
    )
    assert len(known) <= delivered + failed <= len(NAMES), (
        f"what is known of {len(NAMES)} calls: (delivered, failed) are {delivered, failed}, and the rows "
        f"that could be stored {known}"
    )


async def test_an_error_that_is_nobodys_call_leaves_the_next_one_alone(client, database, services):
    """What was wrong once need not be wrong again."""
    told = subscribe(database, services)
    database.fail_changes("deliveries", RuntimeError("the disk is on fire"))
    first = await client.post("/announcements", json=TEA, crashes=True)
    database.heal()
    for service in told.values():
        service.calls.clear()
    second = await client.post("/announcements", json=TEA)

    assert second.status_code == 202, f"the status of the next one; the first was {first}"
    assert [len(service.calls) for service in told.values()] == [1] * 7, "each is called once"
    assert await state_of(client, second.field("announcement_id")) == ("sent", 7, 0), (
        "what GET says"
    )


async def test_waiting_calls_take_no_worker_thread(client, database, services):
    """Forty slow subscribers must not be all that a server can do."""
    subscribe(database, services)
    client.limit_worker_threads(1)
    client.add_route("/ping", plain=True)

    async with client.in_flight("POST", "/announcements", json=TEA):
        with services.hold_each() as calls:
            await calls.until(1)
            await client.give_turns()
            answered = await client.begin("GET", "/ping").until_responded()
            await calls.until(LIMIT)

    assert answered.response.status_code == 200, (
        "the status of a plain function's endpoint on a server with one worker thread, while calls wait"
    )


async def test_announcements_in_flight_do_not_mix(client, database, services):
    """Requests overlap on any real server: nothing may be shared between them."""
    told = subscribe(database, services)
    texts = ["tea", "jam", "tea"]
    exchanges = await client.all_responded(
        client.begin("POST", "/announcements", json={"text": text}, stop_at_response=True)
        for text in texts
    )
    numbers = [number_of(exchange) for exchange in exchanges]
    states = []
    for exchange in reversed(exchanges):
        states.append([(await state_of(client, number))[0] for number in numbers])
        await exchange.until_finished()

    assert states == [
        ["sending", "sending", "sending"],
        ["sending", "sending", "sent"],
        ["sending", "sent", "sent"],
    ], "what GET says of each of three, before the task of the last, the second and the first one"
    assert len(set(numbers)) == 3, f"three announcements in flight have three numbers: {numbers}"
    bodies = {name: sorted(c.json["text"] for c in service.calls) for name, service in told.items()}
    assert bodies == {name: sorted(texts) for name in NAMES}, (
        "the texts that each subscriber got, of three announcements in flight together"
    )
    assert [await state_of(client, number) for number in numbers] == [("sent", 7, 0)] * 3, (
        "what GET says of each"
    )


async def test_the_calls_do_not_block_the_event_loop(client, database, services, timeline):
    """The task awaits its calls, and the database has a thread."""
    subscribe(database, services)
    await client.post("/announcements", json=TEA)

    assert len(database.rows(ENDED)) == 7, "each call has a row"
    assert timeline.blocked() == [], (
        "inside a task something blocked the event loop: use httpx.AsyncClient for the calls, and "
        "`await run_in_threadpool(...)` for the database"
    )

"""An event, and the request that its row, its call and its log records belong to."""

import hashlib
import inspect

import pytest

HOOK = "https://hooks.example.com/events"
EVENTS = "SELECT request_id, size, sha256 FROM events ORDER BY id"
GIVEN = ["received", "stored", "announced"]


def row(request_id, body):
    return request_id, len(body), hashlib.sha256(body).hexdigest()


def named(request_id):
    return {"headers": {"X-Request-ID": request_id}}


def records_of(seen, exchange):
    """The given records of an exchange: (text, request_id)."""
    mine = [record for record in seen if record.exchange == exchange.number]
    return [(record.text, record.value) for record in mine if record.text in GIVEN]


@pytest.fixture(autouse=True)
def hook(kata, database, services):
    return services.on("POST", HOOK)


async def test_the_client_gets_the_id_that_it_sent(client):
    """Two programs that name a request alike can be read side by side."""
    response = await client.post("/events", content=b"tea", **named("ada-1"))

    assert response.status_code == 202, "the response's status must be 202"
    assert response.json() == {"request_id": "ada-1"}, "the response's body must be this JSON"
    assert response.headers.get("x-request-id") == "ada-1", (
        "the header X-Request-ID of the response must be the same id"
    )


async def test_a_request_without_an_id_gets_a_new_one(client, database, hook, restart):
    """Each request must be found again, no matter which client sent it."""
    responses = [await client.post("/events", content=b"tea") for _ in range(5)]

    ids = [response.field("request_id") for response in responses]
    assert [int(response.status_code) for response in responses] == [202] * 5, "the statuses"
    assert all(isinstance(each, str) and each for each in ids), f"ids are texts: {ids}"
    assert len(set(ids)) == 5, f"each new id must be another one, and they are {ids}"
    assert [response.headers.get("x-request-id") for response in responses] == ids, (
        "the header X-Request-ID of each response must be the id in its body"
    )
    assert [each[0] for each in database.rows(EVENTS)] == ids, "the ids of the rows"
    assert [call.headers.get("x-request-id") for call in hook.calls] == ids, "those of the calls"

    exchanges = await client.all_responded(
        client.begin("POST", "/events", content=b"tea", stop_at_response=True) for _ in range(20)
    )
    await client.finish(exchanges)
    together = {exchange.response.field("request_id") for exchange in exchanges}
    assert len(together) == 20, "how many new ids twenty requests in flight together have"

    again = await restart.client()
    later = {(await again.post("/events", content=b"tea")).field("request_id") for _ in range(3)}
    assert not later.intersection(ids), (
        f"new ids after a restart: {sorted(later)}. The rows of before have these already: {ids}"
    )


@pytest.mark.parametrize(
    "request_id",
    [
        pytest.param("a", id="one character"),
        pytest.param("Az09_-" * 10 + "abcd", id="64 characters"),
        pytest.param("-", id="a dash"),
        pytest.param("_Ada-Lovelace_1815", id="letters and digits"),
    ],
)
async def test_an_id_of_allowed_characters_is_kept(client, request_id):
    """The client's id is the client's."""
    response = await client.post("/events", content=b"tea", **named(request_id))

    assert response.json() == {"request_id": request_id}, f"{request_id!r} is an id: the body"


@pytest.mark.parametrize(
    "request_id",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"a" * 65, id="65 characters"),
        pytest.param(b"a b", id="a blank"),
        pytest.param(b"a.b", id="a dot"),
        pytest.param(b"a/../b", id="a path"),
        pytest.param(b"a;b", id="a semicolon"),
        pytest.param(b"caf\xe9", id="a letter with an accent"),
        pytest.param(b"caf\xc3\xa9", id="a letter in UTF-8"),
        pytest.param(b"a\xb2", id="a superscript"),
        pytest.param(b"a^b", id="between Z and a"),
    ],
)
async def test_any_other_id_counts_as_absent(client, hook, logs, request_id):
    """What goes into logs and headers is not for strangers to choose freely."""
    seen = logs.collect("request_id")
    headers = {b"x-request-id": request_id}
    responses = [await client.post("/events", content=b"tea", headers=headers) for _ in range(2)]

    ids = [response.field("request_id") for response in responses]
    assert [int(response.status_code) for response in responses] == [202, 202], (
        f"the statuses of two requests with the id {request_id!r}"
    )
    assert request_id.decode("latin-1") not in ids, (
        f"{request_id!r} is no id, and was taken for one"
    )
    assert all(ids), f"each gets a new id: {ids}"
    assert [response.headers.get("x-request-id") for response in responses] == ids, (
        "the header X-Request-ID of each response must be the id in its body, and not what came"
    )
    assert ids[0] != ids[1], f"each new id must be another one, and they are {ids}"
    assert [call.headers.get("x-request-id") for call in hook.calls] == ids, "the ids of the calls"
    assert {record.value for record in seen if record.text in GIVEN} == set(ids), (
        "the ids of the records must be those of the responses, and not what came"
    )


async def test_the_event_is_stored_and_then_announced_after_the_response(client, timeline):
    """First the row, then the call: who is told of an event may look it up."""
    await client.post("/events", content=b"tea")

    happened = timeline.order("response", "commit events", "call")
    assert happened == ["response", "commit events", "call"]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"tea"], id="in one piece"),
        pytest.param([b"te", b"a and ", b"jam"], id="in three pieces"),
        pytest.param([b"", b"tea", b"", b"jam", b""], id="with empty pieces"),
        pytest.param([b""], id="empty"),
        pytest.param([b"", b""], id="empty in two pieces"),
        pytest.param([bytes(range(256)), b"\xff\xfe\x00"], id="any bytes"),
        pytest.param(["K\u00e4se, 2 \u20ac".encode()], id="letters of two and three bytes"),
        pytest.param([b"x" * 65_536] * 3, id="large"),
        pytest.param([b" \r\ntea\r\n"], id="blanks around it"),
    ],
)
async def test_the_row_is_about_the_body_that_was_sent(client, database, pieces):
    """After the response a request cannot be read any more, however small it was."""
    for _ in range(2):
        response = await client.post("/events", pieces=pieces, **named("ada-1"))
        assert response.status_code == 202, "the response's status must be 202"

    assert database.rows(EVENTS) == [row("ada-1", b"".join(pieces))] * 2, (
        f"the rows (request_id, size, sha256) of two events: the id is the same, and the body came in "
        f"{len(pieces)} piece(s). The endpoint must read the body: in a task it is gone"
    )


@pytest.mark.parametrize("body", [b'{"coins": 3}', b"three coins"], ids=["JSON", "no JSON"])
async def test_the_bytes_count_whatever_they_are_called(client, database, body):
    """A machine that says `application/json` may send anything."""
    headers = {"Content-Type": "application/json", "X-Request-ID": "ada-1"}
    response = await client.post("/events", content=body, headers=headers)

    assert response.status_code == 202, f"the status of {body!r}, sent as application/json"
    assert database.rows(EVENTS) == [row("ada-1", body)], "the row (request_id, size, sha256)"


async def test_the_call_carries_the_id(client, hook):
    """The next program goes on with the same name."""
    for request_id in ("ada-1", "grace-2"):
        await client.post("/events", content=b"tea", **named(request_id))

    assert [call.headers.get("x-request-id") for call in hook.calls] == ["ada-1", "grace-2"], (
        f"the header X-Request-ID of all calls of POST {HOOK}"
    )


async def test_each_record_has_the_id_of_its_request(client, logs):
    """A ContextVar that is set in a `def` dependency is not seen by the endpoint, and not by the
    tasks."""
    seen = logs.collect("request_id")
    response = await client.post("/events", content=b"tea", **named("ada-1"))

    assert records_of(seen, response.exchange) == [(text, "ada-1") for text in GIVEN], (
        "(text, request_id) of the records of `received`, `stored` and `announced`, as a handler on "
        "the logger `kata` gets them; null where a record has no such attribute"
    )


async def test_a_new_id_is_the_one_of_the_records(client, logs):
    """An id that only the client is told is no use to the one who reads the log."""
    seen = logs.collect("request_id")
    response = await client.post("/events", content=b"tea")

    request_id = response.field("request_id")
    assert records_of(seen, response.exchange) == [(text, request_id) for text in GIVEN], (
        f"(text, request_id) of the records; the response says {request_id!r}"
    )


async def test_requests_in_flight_keep_their_ids(client, database, hook, logs):
    """Requests overlap on any real server: nothing may be shared between them."""
    seen = logs.collect("request_id")
    bodies = {f"request-{number}": b"x" * number for number in range(1, 5)}
    exchanges = await client.all_responded(
        client.begin("POST", "/events", content=body, stop_at_response=True, **named(request_id))
        for request_id, body in bodies.items()
    )
    with hook.hold(limit=2) as slow_call:
        for exchange in reversed(exchanges):
            exchange.release()
        await slow_call.until_reached()
        await client.finish_what_can(exchanges)
    await client.finish(exchanges)

    assert [exchange.response.field("request_id") for exchange in exchanges] == list(bodies), (
        "the ids in the responses to four requests in flight together"
    )
    assert [records_of(seen, exchange) for exchange in exchanges] == [
        [(text, request_id) for text in GIVEN] for request_id in bodies
    ], "(text, request_id) of the records of four requests in flight together"
    assert sorted(database.rows(EVENTS)) == [row(*each) for each in bodies.items()], (
        "the rows (request_id, size, sha256)"
    )
    assert sorted(call.headers.get("x-request-id", "") for call in hook.calls) == list(bodies), (
        "the ids of the calls"
    )


async def test_a_request_that_comes_meanwhile_does_not_change_the_ids(client, database, logs):
    """One that is stored while another one comes and goes still has its own name."""
    seen = logs.collect("request_id")
    async with client.in_flight("POST", "/events", content=b"tea", **named("first")) as first:
        with database.hold_changes("events") as slow_row:
            await first.until_responded()
            await slow_row.until_reached()
            second = client.begin("POST", "/events", content=b"jam", **named("second"))
            await second.until_responded()
            await client.finish_what_can([second])

    assert [records_of(seen, exchange) for exchange in (first, second)] == [
        [(text, request_id) for text in GIVEN] for request_id in ("first", "second")
    ], (
        "(text, request_id) of the records of two requests: the first was held just before its row was "
        "written, the second came meanwhile"
    )


async def test_outside_a_request_the_id_is_a_dash(client, logs):
    """A format with `%(request_id)s` in it fails where the attribute is missing."""
    seen = logs.collect("request_id")
    logs.write("before")
    async with client.responded("POST", "/events", content=b"tea", **named("ada-1")):
        logs.write("meanwhile")
    logs.write("afterwards")

    outside = [(record.text, record.value) for record in seen if record.exchange is None]
    assert outside == [("before", "-"), ("meanwhile", "-"), ("afterwards", "-")], (
        "(text, request_id) of records that were logged on `kata` outside a request: before one, "
        "while one was in flight, and afterwards"
    )


async def test_outside_a_request_it_is_a_dash_while_tasks_are_at_work(client, database, hook, logs):
    """What a task puts on the logger for itself is there for everybody."""
    seen = logs.collect("request_id")
    async with client.in_flight("POST", "/events", content=b"tea", **named("ada-1")) as exchange:
        with hook.hold() as slow_call:
            with database.hold_changes("events") as slow_row:
                await exchange.until_responded()
                await slow_row.until_reached()
                logs.write("meanwhile, in store")
            await slow_call.until_reached()
            logs.write("meanwhile, in announce")

    outside = [(record.text, record.value) for record in seen if record.exchange is None]
    assert outside == [("meanwhile, in store", "-"), ("meanwhile, in announce", "-")], (
        "(text, request_id) of records that were logged on `kata` outside a request, while `store` "
        "and `announce` were at work for one"
    )


async def test_nothing_piles_up_on_the_logging_system(client, logs):
    """What grows with each request makes each record slower, until somebody restarts the server."""
    logs.collect("request_id")
    await client.post("/events", content=b"tea")
    before = logs.weight()
    for _ in range(3):
        await client.post("/events", content=b"tea")

    assert logs.weight() - before <= 0, (
        "how many more handlers, filters, loggers and function calls there are after three requests "
        "more: put a filter or a record factory on the logging system once, not in each request, and "
        "make no logger for each request, for `getLogger` keeps them all"
    )


async def test_store_is_a_plain_function_and_announce_a_coroutine_function(client, kata):
    """What waits for a disk belongs in a thread, what waits for a server on the loop."""
    await client.post("/events", content=b"tea")

    kinds = [inspect.iscoroutinefunction(function) for function in (kata.store, kata.announce)]
    assert kinds == [False, True], "whether `store` and `announce` are coroutine functions"


async def test_the_tasks_do_not_block_the_event_loop(client, database, timeline):
    """While the loop is blocked, no other request gets a response."""
    await client.post("/events", content=b"tea")

    assert len(database.rows(EVENTS)) == 1, "the row must be there"
    assert timeline.blocked() == [], (
        "a task or a middleware blocked the event loop: an async task calls with httpx.AsyncClient"
    )

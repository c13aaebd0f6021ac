"""The callback of a payment, however often it fails."""

import hashlib
import hmac
from itertools import pairwise

import httpx
import pytest

from dojo.doubles.http import broken, broken_body, hung_up, silence, timeout, unreachable

HOOK = "https://shop.example.com/hook"
OTHER = "https://other.example.com/hook"
pytestmark = pytest.mark.usefixtures("hook")

ROWS = "SELECT payment_id, status, attempts FROM deliveries ORDER BY payment_id"
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"


def payment(amount=1200, url=HOOK):
    return {"amount_cents": amount, "callback_url": url}


@pytest.fixture
def hook(services):
    return services.on("POST", HOOK)


def waits(service):
    """The seconds between the calls of a service."""
    times = [call.at for call in service.calls]
    return [(later - earlier).total_seconds() for earlier, later in pairwise(times)]


def stored(database):
    """All rows of all tables."""
    return {table: database.rows(f'SELECT * FROM "{table}"') for (table,) in database.rows(TABLES)}


def host(url):
    """The host that httpx would call, None where it finds no URL."""
    try:
        return httpx.URL(url).host
    except (httpx.InvalidURL, ValueError):
        return None


def last_error(database):
    return database.rows("SELECT last_error FROM deliveries")[0][0]


async def test_the_client_gets_the_number_of_the_payment(client):
    """The number is what both sides will talk about."""
    first = await client.post("/payments", json=payment())
    second = await client.post("/payments", json=payment())

    assert (first.status_code, first.json()) == (202, {"payment_id": 1}), (
        "the first response must be a 202 with the number 1"
    )
    assert (second.status_code, second.json()) == (202, {"payment_id": 2}), (
        "the second response must be a 202 with the number 2"
    )


async def test_the_callback_is_called_only_after_the_response(client, timeline):
    """The client must not wait for somebody else's server."""
    await client.post("/payments", json=payment())

    assert timeline.order("response", "call") == ["response", "call"]


async def test_the_callback_is_told_of_the_payment_as_json(client, services):
    """Which payment, and how much; and the receiver is told that it is JSON."""
    callback = services.on("POST", f"{HOOK}?shop=7")
    await client.post("/payments", json=payment(995, callback.url))

    assert [call.json for call in callback.calls] == [{"payment_id": 1, "amount_cents": 995}], (
        f"{callback.url} must be called once with this JSON as its body"
    )
    kind = callback.calls[0].headers.get("content-type")
    assert str(kind).partition(";")[0] == "application/json", (
        "the call must have the header Content-Type: application/json, "
        "which `json=` sets by itself and `content=` does not"
    )


async def test_the_body_is_signed_as_it_was_sent(client, hook, kata):
    """With the secret, the receiver can check that the body is ours and was not changed."""
    hook.replies_with(500, 200)
    await client.post("/payments", json=payment())

    assert len(hook.calls) == 2, "two calls: the response to the first was 500, to the second 200"
    for call in hook.calls:
        expected = hmac.new(kata.SECRET, call.body, hashlib.sha256).hexdigest()
        assert call.headers.get("x-signature") == f"sha256={expected}", (
            "X-Signature must be `sha256=` and the HMAC of the bytes that were sent: "
            "serialise once, sign that, and send that with `content=`"
        )


async def test_all_attempts_of_a_payment_have_one_key(client, hook):
    """The receiver must be able to tell "again" from "another"."""
    hook.replies_with(500, 500, 200, 200)
    await client.post("/payments", json=payment())
    await client.post("/payments", json=payment())

    keys = [call.headers.get("idempotency-key") for call in hook.calls]
    assert len(keys) == 4, (
        "there must be four calls: three for the first payment, one for the second"
    )
    assert all(keys), f"each call must have a header Idempotency-Key, and they are {keys}"
    assert len(set(keys[:3])) == 1, (
        f"all attempts of a payment must have the same Idempotency-Key, and they are {keys[:3]}"
    )
    assert keys[3] != keys[0], (
        "another payment must have another Idempotency-Key, also where amount and callback are "
        f"the same: both have {keys[0]}"
    )


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_is_delivered(client, database, hook, status):
    """Every status from 200 to 299 says that the call was accepted."""
    hook.replies_with(httpx.Response(status))
    await client.post("/payments", json=payment())

    assert database.rows(ROWS) == [(1, "delivered", 1)], (
        f"the callback responded {status}, and any 2xx is delivered: "
        "the row (payment_id, status, attempts)"
    )
    assert len(hook.calls) == 1, f"one call is enough when the response to it is {status}"


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(500, id="500"),
        pytest.param(501, id="501"),
        pytest.param(505, id="505"),
        pytest.param(599, id="599"),
        pytest.param(429, id="429"),
        pytest.param(silence, id="no response in time"),
        pytest.param(timeout("connect"), id="no connection in time"),
        pytest.param(timeout("write"), id="request not sent in time"),
        pytest.param(timeout("pool"), id="no free connection in time"),
        pytest.param(unreachable, id="not reachable"),
        pytest.param(broken("read"), id="broken off while waiting"),
        pytest.param(broken("write"), id="broken off while sending"),
        pytest.param(hung_up, id="closed without a response"),
        pytest.param(broken_body(503), id="503 broken off in its body"),
    ],
)
async def test_after_a_passing_failure_the_call_is_made_again_one_second_later(
    client, clock, database, hook, trouble
):
    """Servers restart and connections break: a second later all may be well."""
    hook.replies_with(trouble, 200)
    await client.post("/payments", json=payment())

    assert not hook.endless, (
        "the call has no time limit (`timeout=None`), so it would wait here for ever"
    )
    assert database.rows(ROWS) == [(1, "delivered", 2)], (
        "5xx, 429, time-outs and connection errors are tried again, and the second attempt "
        "succeeded: the row (payment_id, status, attempts)"
    )
    assert waits(hook) == [1.0], "the seconds between the first attempt and the second"


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(503, id="503"),
        pytest.param(unreachable, id="not reachable"),
        pytest.param(timeout("read"), id="no response in time"),
    ],
)
async def test_after_four_attempts_it_gives_up(client, clock, database, hook, trouble):
    """Waiting longer each time, and not for ever."""
    hook.replies_with(trouble)
    await client.post("/payments", json=payment())

    assert waits(hook) == [1.0, 2.0, 4.0], (
        "there are four attempts at most, 1, 2 and 4 seconds apart: the seconds between the calls"
    )
    assert database.rows(ROWS) == [(1, "gave_up", 4)], (
        "all four attempts failed: the row (payment_id, status, attempts)"
    )
    assert last_error(database), (
        "a row with `gave_up` must have a last_error that is not empty: "
        "`str()` of some httpx errors is an empty text, `repr()` is not; "
        f"last_error is {last_error(database)!r}"
    )


async def test_the_fourth_attempt_counts(client, database, hook):
    """The last chance is a chance."""
    hook.replies_with(500, 500, 500, 200)
    await client.post("/payments", json=payment())

    assert database.rows(ROWS) == [(1, "delivered", 4)], (
        "three attempts failed and the fourth succeeded: the row (payment_id, status, attempts)"
    )


@pytest.mark.parametrize("status", [301, 304, 307, 400, 404, 408, 410, 425, 499])
async def test_a_3xx_or_another_4xx_is_not_tried_again(client, database, hook, status):
    """It would be the same the next time, and a redirect leads to a server nobody has checked."""
    hook.replies_with(httpx.Response(status, headers={"location": OTHER, "retry-after": "1"}))
    await client.post("/payments", json=payment())

    assert len(hook.calls) == 1, (
        f"the callback responded {status}; of 3xx and 4xx only 429 is tried again: the calls"
    )
    assert database.rows(ROWS) == [(1, "gave_up", 1)], (
        f"the callback responded {status}, which is final: the row (payment_id, status, attempts)"
    )
    assert last_error(database), (
        "a row with `gave_up` must have a last_error that is not empty; "
        f"it is {last_error(database)!r}"
    )


async def test_a_redirect_is_not_followed(client, hook, services):
    """Only the address that was checked is called."""
    other = services.on("POST", OTHER)
    hook.replies_with(httpx.Response(307, headers={"location": OTHER}))
    await client.post("/payments", json=payment())

    assert len(hook.calls) == 1, "the calls of the callback, which responded 307 with a Location"
    assert other.calls == [], "the calls of the address in Location: a 3xx is not followed"


@pytest.mark.parametrize(
    ("status", "seconds"), [(429, 7), (429, 0), (500, 3), (503, 120), (503, 0), (599, 3600)]
)
async def test_the_seconds_in_retry_after_are_waited_instead(client, clock, hook, status, seconds):
    """A server that is busy knows best when it will be free."""
    hook.replies_with(httpx.Response(status, headers={"retry-after": str(seconds)}), 200)
    await client.post("/payments", json=payment())

    assert waits(hook) == [float(seconds)], (
        f"the response was {status} with Retry-After: {seconds}, "
        "which is waited instead of one second: the seconds between the calls"
    )


async def test_retry_after_replaces_one_wait_and_no_other(client, clock, hook):
    """The next failure without it is waited for as usual."""
    hook.replies_with(503, httpx.Response(503, headers={"retry-after": "9"}), 503, 200)
    await client.post("/payments", json=payment())

    assert waits(hook) == [1.0, 9.0, 4.0], (
        "only the second response had Retry-After: 9, so the others are waited for "
        "as usual, 1 and 4 seconds: the seconds between the calls"
    )


async def test_a_connection_error_has_no_retry_after(client, clock, hook):
    """The Retry-After of an earlier response was for one wait only."""
    busy = httpx.Response(503, headers={"retry-after": "9"})
    hook.replies_with(busy, unreachable, silence, 200)
    await client.post("/payments", json=payment())

    assert waits(hook) == [9.0, 2.0, 4.0], (
        "only the first attempt had a Retry-After: 9, the second was a connection error, the third "
        "a time-out: the seconds between the calls"
    )


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", id="a date"),
        pytest.param("soon", id="a word"),
        pytest.param("", id="empty"),
        pytest.param("-5", id="negative"),
        pytest.param("1.5", id="decimals"),
        pytest.param("1e1", id="an exponent"),
        pytest.param("inf", id="infinite"),
        pytest.param("\u00b2", id="a superscript"),
    ],
)
async def test_any_other_retry_after_counts_as_absent(client, clock, database, hook, value):
    """HTTP allows a date there too, and some servers send worse."""
    headers = {b"retry-after": value.encode("latin-1")}
    hook.replies_with(httpx.Response(503, headers=headers), 200)
    await client.post("/payments", json=payment())

    assert database.rows(ROWS) == [(1, "delivered", 2)], (
        f"the response was 503 with Retry-After: {value!r}, which is not a whole number of seconds "
        "and counts as absent: the row (payment_id, status, attempts)"
    )
    assert waits(hook) == [1.0], (
        f"the response was 503 with Retry-After: {value!r}, which is not a whole number of seconds "
        "and counts as absent: the seconds between the calls"
    )


async def test_in_the_end_each_payment_has_one_row(client, database, hook):
    """The table says how each delivery ended, and does not list its attempts."""
    hook.replies_with(500, 500, 200, 200)
    await client.post("/payments", json=payment())
    await client.post("/payments", json=payment())

    assert database.rows(ROWS) == [(1, "delivered", 3), (2, "delivered", 1)], (
        "two payments, the first delivered at the third attempt: "
        "the rows (payment_id, status, attempts)"
    )


async def test_other_requests_are_answered_while_one_payment_waits(
    client, clock, database, hook, services
):
    """Seven seconds of waiting for one shop must not be seven seconds for all."""
    services.on("POST", OTHER)
    hook.replies_with(500, 200)
    async with client.in_flight("POST", "/payments", json=payment()) as first:
        with clock.hold() as waiting:
            await first.until_responded()
            await waiting.until_reached()
            second = client.begin("POST", "/payments", json=payment(5, OTHER))
            await second.until_responded()
            await client.finish_what_can([first, second])

    assert (first.response.status_code, second.response.status_code) == (202, 202), (
        "the statuses of the two responses must be 202"
    )
    assert database.rows(ROWS) == [(1, "delivered", 2), (2, "delivered", 1)], (
        "the rows (payment_id, status, attempts)"
    )


async def test_other_requests_are_answered_while_a_callback_is_slow(client, hook, services):
    """Somebody else's slow server must not be ours."""
    services.on("POST", OTHER)
    async with client.in_flight("POST", "/payments", json=payment()) as first:
        with hook.hold() as slow_call:
            await first.until_responded()
            await slow_call.until_reached()
            second = client.begin("POST", "/payments", json=payment(5, OTHER))
            await second.until_responded()

    assert (first.response.status_code, second.response.status_code) == (202, 202), (
        "the statuses of the two responses must be 202"
    )


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param([500, 200], id="delivered at the second attempt"),
        pytest.param([404], id="gave up at once"),
        pytest.param([503], id="gave up after a response"),
        pytest.param([unreachable], id="gave up after an error"),
    ],
)
async def test_a_delivery_never_blocks_the_event_loop(client, clock, hook, timeline, replies):
    """While the loop is blocked, no other request gets a response."""
    hook.replies_with(*replies)
    await client.post("/payments", json=payment())

    assert timeline.blocked() == [], (
        "a task blocked the event loop: in an `async def` task use httpx.AsyncClient, asyncio.sleep, "
        "and `await run_in_threadpool(...)` for the database"
    )


async def test_payments_in_flight_do_not_mix(client, database, hook, services):
    """Requests overlap on any real server: nothing may be shared between them."""
    other = services.on("POST", OTHER).replies_with(500, 500, 200)
    hook.replies_with(500, 200)
    async with client.in_flight("POST", "/payments", json=payment(1)) as first:
        with hook.hold() as slow_call:
            await first.until_responded()
            await slow_call.until_reached()
            second = client.begin("POST", "/payments", json=payment(2, OTHER))
            await second.until_responded()
            await client.finish_what_can([second])

    assert [call.json for call in hook.calls] == [{"payment_id": 1, "amount_cents": 1}] * 2, (
        "the bodies of the first payment's calls, the first held up while the second payment came"
    )
    assert [call.json for call in other.calls] == [{"payment_id": 2, "amount_cents": 2}] * 3, (
        "the bodies of the second payment's calls"
    )
    keys = [{call.headers.get("idempotency-key") for call in of.calls} for of in (hook, other)]
    assert [len(each) for each in keys] == [1, 1], (
        f"all attempts of a payment must have one Idempotency-Key; those of the two payments are {keys}"
    )
    assert keys[0] != keys[1], f"two payments in flight must have two keys, and both have {keys[0]}"
    assert database.rows(ROWS) == [(1, "delivered", 2), (2, "delivered", 3)], (
        "the rows (payment_id, status, attempts)"
    )


@pytest.mark.parametrize(
    "urls",
    [
        pytest.param(
            ["http://shop.example.com/hook", "ftp://shop.example.com/hook"], id="not https"
        ),
        pytest.param(["shop.example.com/hook", "hook", ""], id="no scheme"),
        pytest.param(["https://", "https://:8443/hook", "https://eve@/hook"], id="no host"),
        pytest.param(
            ["https://[::1/hook", "https://[shop]/hook", "https://shop.example.com:port/hook"],
            id="not a URL",
        ),
        pytest.param(
            [
                "https://localhost/hook",
                "https://LOCALHOST:8443/hook",
                "https://eve@localhost/",
                "https://localhost./hook",
            ],
            id="localhost",
        ),
        pytest.param(
            [
                "https://127.0.0.1/",
                "https://127.8.9.10:8443/",
                "https://127.0.0.1./",
                "https://[::1]/",
                "https://[0:0:0:0:0:0:0:1]:8443/",
            ],
            id="loopback",
        ),
        pytest.param(
            [
                "https://10.1.2.3/",
                "https://10.255.0.1./",
                "https://172.16.0.1/",
                "https://172.31.255.254/",
                "https://192.168.1.1/",
            ],
            id="private IPv4",
        ),
        pytest.param(
            ["https://[fd00::1]/", "https://[fc00::1]:8443/", "https://[FDFF:1::2]/"],
            id="private IPv6",
        ),
        pytest.param(
            [
                "https://169.254.169.254/latest",
                "https://169.254.0.1/",
                "https://[fe80::1]/",
                "https://[fe80:1::1]/",
                "https://[febf::1]/",
            ],
            id="link-local",
        ),
        pytest.param(
            [
                "https://[::ffff:10.0.0.1]/",
                "https://[::ffff:127.0.0.1]/",
                "https://[::ffff:a9fe:a9fe]/",
                "https://[::FFFF:192.168.1.1]/",
                "https://[0:0:0:0:0:ffff:7f00:1]/",
            ],
            id="mapped",
        ),
        pytest.param(
            ["https://shop.example.com@127.0.0.1/", "https://eve:secret@10.0.0.1:8443/"],
            id="behind a user name",
        ),
        pytest.param(
            ["https://127\u30020\u30020\u30021/", "https://10\uff0e0\uff0e0\uff0e1/"],
            id="dots of other alphabets",
        ),
    ],
)
async def test_a_callback_to_this_machine_or_its_network_is_refused(
    client, database, hook, services, urls
):
    """A server that calls whatever it is told to can be told to call its own network."""
    before = stored(database)
    for url in urls:
        refused = await client.post("/payments", json=payment(url=url), crashes=True)
        assert refused.status_code == 422, (
            "callback_url must be an https URL with a host outside this machine and its network, "
            f"and this is {url!r} (the host that httpx would call: {host(url)!r}): the status"
        )
        assert "detail" in refused.json(), (
            f"a refusal has FastAPI's usual {{'detail': ...}}, and this is {refused.content!r}"
        )

    assert stored(database) == before, "nothing is stored for a payment that was refused"
    assert (hook.calls, services.refused) == ([], []), (
        "nothing is called for a payment that was refused"
    )

    accepted = await client.post("/payments", json=payment())
    assert accepted.status_code == 202, f"the status of the next payment, to {HOOK}"
    assert len(hook.calls) == 1, f"the calls of {HOOK}, after a payment that was accepted"


async def test_a_host_that_cannot_be_looked_up_gets_a_response(client):
    """Some names are only found to be wrong when they are taken apart."""
    response = await client.post("/payments", json=payment(url="https://xn--/hook"), crashes=True)

    assert response.status_code in (202, 422), (
        "https://xn--/hook looks like a URL, but its host is no name, and reading it raises a "
        "ValueError in httpx: the payment may be refused with 422 or accepted, but the status was "
        f"{response.status_code}"
    )


@pytest.mark.parametrize(
    "urls",
    [
        pytest.param(
            [
                "https://8.8.8.8/hook",
                "https://172.15.0.1/hook",
                "https://172.32.0.1/hook",
                "https://192.167.1.1/hook",
                "https://169.253.0.1/hook",
                "https://11.0.0.1/hook",
            ],
            id="IPv4",
        ),
        pytest.param(["https://[2606:4700::1111]/"], id="IPv6"),
        pytest.param(["https://[::ffff:8.8.8.8]/", "https://[::ffff:ac20:1]/"], id="mapped"),
        pytest.param(
            [
                "https://localhost.example.com/hook",
                "https://notlocalhost.example.com/hook",
                "https://10.example.com:8443/?to=127.0.0.1",
                "https://127.0.0.1.example.com/localhost",
                "https://fd00.example.com/hook",
            ],
            id="names",
        ),
    ],
)
async def test_a_callback_to_anywhere_else_is_accepted(client, services, urls):
    """A name or address that only looks like an internal one belongs to somebody."""
    for url in urls:
        services.on("POST", url)
        accepted = await client.post("/payments", json=payment(url=url))
        assert accepted.status_code == 202, (
            f"the host of {url} is neither localhost nor an address inside: the status"
        )

"""What must happen to a payment's callback, however often it fails."""

import hashlib
import hmac
from itertools import pairwise

import httpx
import pytest

from dojo.services import silence, unreachable

HOOK = "https://shop.example.com/hook"
OTHER = "https://other.example.com/hook"
pytestmark = pytest.mark.usefixtures("hook")

ROWS = "SELECT payment_id, status, attempts FROM deliveries ORDER BY payment_id"


def payment(amount=1200, url=HOOK):
    return {"amount_cents": amount, "callback_url": url}


@pytest.fixture
def hook(services):
    return services.on("POST", HOOK)


def waits(service):
    """The seconds between the calls of a service."""
    times = [call.at for call in service.calls]
    return [(later - earlier).total_seconds() for earlier, later in pairwise(times)]


async def test_the_client_gets_the_number_of_the_payment(client):
    """The number is what both sides will talk about."""
    first = await client.post("/payments", json=payment())
    second = await client.post("/payments", json=payment())

    assert (first.status, first.json()) == (202, {"payment_id": 1}), "the first response"
    assert (second.status, second.json()) == (202, {"payment_id": 2}), "the second response"


async def test_the_callback_is_called_only_after_the_response(client, timeline):
    """The client must not wait for somebody else's server."""
    await client.post("/payments", json=payment())

    assert timeline.order("response", "call") == ["response", "call"]


async def test_the_callback_is_told_of_the_payment_as_json(client, hook):
    """Which payment, and how much."""
    await client.post("/payments", json=payment(995))

    assert [call.json for call in hook.calls] == [{"payment_id": 1, "amount_cents": 995}], (
        "the JSON bodies of all calls"
    )


async def test_the_body_is_signed_as_it_was_sent(client, hook, kata):
    """Whoever has the secret can tell that the call is ours, byte for byte."""
    hook.replies_with(500, 200)
    await client.post("/payments", json=payment())

    assert len(hook.calls) == 2, "two calls: one failed, one did not"
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
    assert len(keys) == 4, "four calls: three for the first payment, one for the second"
    assert all(keys), f"each call must have a header Idempotency-Key, and they are {keys}"
    assert len(set(keys[:3])) == 1, (
        f"one key for all attempts of a payment, and they are {keys[:3]}"
    )
    assert keys[3] != keys[0], "another payment has another key, also when it is the same amount"


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_any_2xx_is_delivered(client, database, hook, status):
    """There is more than one way to say yes."""
    hook.replies_with(httpx.Response(status))
    await client.post("/payments", json=payment())

    assert database.rows(ROWS) == [(1, "delivered", 1)], "the row: (payment_id, status, attempts)"
    assert len(hook.calls) == 1, "one call is enough"


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(500, id="500"),
        pytest.param(599, id="599"),
        pytest.param(429, id="429"),
        pytest.param(silence, id="no response in time"),
        pytest.param(lambda: httpx.ConnectTimeout(""), id="no connection in time"),
        pytest.param(unreachable, id="not reachable"),
    ],
)
async def test_what_may_pass_is_tried_again(client, clock, database, hook, trouble):
    """Servers restart, networks hiccup: a second later all may be well."""
    hook.replies_with(trouble, 200)
    await client.post("/payments", json=payment())

    assert database.rows(ROWS) == [(1, "delivered", 2)], "the row: (payment_id, status, attempts)"
    assert waits(hook) == [1.0], "the seconds between the calls"
    assert not hook.endless, "the call has no time limit: with `timeout=None` it waits for ever"


@pytest.mark.parametrize(
    "trouble", [pytest.param(503, id="503"), pytest.param(unreachable, id="not reachable")]
)
async def test_after_four_attempts_it_gives_up(client, clock, database, hook, trouble):
    """Waiting longer each time, and not for ever."""
    hook.replies_with(trouble)
    await client.post("/payments", json=payment())

    assert waits(hook) == [1.0, 2.0, 4.0], "the seconds between the four calls"
    assert database.rows(ROWS) == [(1, "gave_up", 4)], "the row: (payment_id, status, attempts)"
    assert database.rows("SELECT last_error FROM deliveries")[0][0], "last_error must say why"


async def test_the_fourth_attempt_counts(client, database, hook):
    """The last chance is a chance."""
    hook.replies_with(500, 500, 500, 200)
    await client.post("/payments", json=payment())

    assert database.rows(ROWS) == [(1, "delivered", 4)], "the row: (payment_id, status, attempts)"


@pytest.mark.parametrize("status", [301, 307, 400, 404, 410])
async def test_what_will_not_pass_is_not_tried_again(client, database, hook, status):
    """A door that is shut is not knocked at four times, and a redirect is somebody else's door."""
    hook.replies_with(httpx.Response(status, headers={"location": OTHER, "retry-after": "1"}))
    await client.post("/payments", json=payment())

    assert len(hook.calls) == 1, f"the calls when the response is {status}"
    assert database.rows(ROWS) == [(1, "gave_up", 1)], "the row: (payment_id, status, attempts)"
    assert database.rows("SELECT last_error FROM deliveries")[0][0], "last_error must say why"


@pytest.mark.parametrize(("status", "seconds"), [(429, 7), (503, 120), (500, 3), (429, 0)])
async def test_retry_after_is_what_is_waited_instead(client, clock, hook, status, seconds):
    """Who is busy knows best when to come back."""
    hook.replies_with(httpx.Response(status, headers={"retry-after": str(seconds)}), 200)
    await client.post("/payments", json=payment())

    assert waits(hook) == [float(seconds)], f"the seconds waited; Retry-After was {seconds}"


async def test_retry_after_counts_for_one_wait_only(client, clock, hook):
    """The next failure without it is waited for as usual."""
    hook.replies_with(503, httpx.Response(503, headers={"retry-after": "9"}), 503, 200)
    await client.post("/payments", json=payment())

    assert waits(hook) == [1.0, 9.0, 4.0], (
        "the seconds; only the second response had Retry-After: 9"
    )


async def test_a_retry_after_that_is_no_number_breaks_nothing(client, database, hook):
    """HTTP allows a date there too, and some send worse."""
    date = httpx.Response(503, headers={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})
    hook.replies_with(date, 200)
    await client.post("/payments", json=payment())

    assert database.rows(ROWS) == [(1, "delivered", 2)], "the row: (payment_id, status, attempts)"


async def test_there_is_one_row_a_payment(client, database, hook):
    """The row says how it ended, not how it went."""
    hook.replies_with(500, 500, 200, 200)
    await client.post("/payments", json=payment())
    await client.post("/payments", json=payment())

    assert database.rows(ROWS) == [(1, "delivered", 3), (2, "delivered", 1)], (
        "the rows: (payment_id, status, attempts)"
    )


async def test_other_requests_are_answered_while_one_waits(client, clock, database, hook, services):
    """Seven seconds of waiting for one shop must not be seven seconds for all."""
    services.on("POST", OTHER)
    hook.replies_with(500, 200)
    with clock.hold() as waiting:
        first = await client.begin("POST", "/payments", json=payment()).until_responded()
        await waiting.until_reached()
        second = await client.begin("POST", "/payments", json=payment(5, OTHER)).until_responded()
        await client.finish_what_can([first, second])
        waiting.release()
        await first.until_finished()
        await second.until_finished()

    assert (first.status, second.status) == (202, 202), "the statuses"
    assert database.rows(ROWS) == [(1, "delivered", 2), (2, "delivered", 1)], (
        "the rows: (payment_id, status, attempts)"
    )


async def test_other_requests_are_answered_while_a_callback_is_slow(
    client, hook, services, timeline
):
    """Somebody else's slow server must not be ours."""
    services.on("POST", OTHER)
    with hook.hold() as slow_call:
        first = await client.begin("POST", "/payments", json=payment()).until_responded()
        await slow_call.until_reached()
        second = await client.begin("POST", "/payments", json=payment(5, OTHER)).until_responded()
        slow_call.release()
        await first.until_finished()
        await second.until_finished()

    assert (first.status, second.status) == (202, 202), "the statuses"
    assert timeline.blocked() == [], (
        "something blocked the event loop: in an `async def` task use httpx.AsyncClient, asyncio.sleep, "
        "and `await run_in_threadpool(...)` for the database"
    )


async def test_payments_in_flight_do_not_mix(client, database, hook, services):
    """Requests overlap on any real server: nothing may be shared between them."""
    other = services.on("POST", OTHER).replies_with(500, 500, 200)
    hook.replies_with(500, 200)
    with hook.hold() as slow_call:
        first = await client.begin("POST", "/payments", json=payment(1)).until_responded()
        await slow_call.until_reached()
        await client.post("/payments", json=payment(2, OTHER))
        slow_call.release()
        await first.until_finished()

    assert [call.json for call in hook.calls] == [{"payment_id": 1, "amount_cents": 1}] * 2, (
        "the bodies of the first payment's calls, held up while the second was delivered"
    )
    assert [call.json for call in other.calls] == [{"payment_id": 2, "amount_cents": 2}] * 3, (
        "the bodies of the second payment's calls"
    )
    assert database.rows(ROWS) == [(1, "delivered", 2), (2, "delivered", 3)], (
        "the rows: (payment_id, status, attempts)"
    )


@pytest.mark.parametrize(
    "urls",
    [
        pytest.param(
            ["http://shop.example.com/hook", "ftp://shop.example.com/hook"], id="not https"
        ),
        pytest.param(["shop.example.com/hook", "https://", "hook", ""], id="no address at all"),
        pytest.param(
            ["https://localhost/hook", "https://LOCALHOST:8443/hook", "https://eve@localhost/"],
            id="localhost",
        ),
        pytest.param(
            ["https://127.0.0.1/", "https://127.8.9.10:8443/", "https://[::1]/"], id="loopback"
        ),
        pytest.param(
            ["https://10.1.2.3/", "https://172.16.0.1/", "https://172.31.255.254/"], id="private"
        ),
        pytest.param(["https://192.168.1.1/", "https://[fd00::1]/"], id="private too"),
        pytest.param(["https://169.254.169.254/latest", "https://[fe80::1]/"], id="link-local"),
        pytest.param(
            [
                "https://[::ffff:10.0.0.1]/",
                "https://[::ffff:127.0.0.1]/",
                "https://[::ffff:a9fe:a9fe]/",
            ],
            id="mapped",
        ),
        pytest.param(["https://shop.example.com@127.0.0.1/"], id="behind a user name"),
    ],
)
async def test_a_callback_that_leads_inside_is_refused(client, database, hook, services, urls):
    """A server that calls whatever it is told to can be told to call its own network."""
    for url in urls:
        refused = await client.post("/payments", json=payment(url=url))
        assert refused.status == 422, f"the status of {url!r}"
        assert "detail" in (refused.json() or {}), "FastAPI's usual {'detail': ...}"
    accepted = await client.post("/payments", json=payment())

    assert accepted.status == 202, f"the status of {HOOK}"
    assert (len(hook.calls), services.refused) == (1, []), "only the good one is called"
    assert len(database.rows(ROWS)) == 1, "only the good one has a row"


@pytest.mark.parametrize(
    "urls",
    [
        pytest.param(["https://8.8.8.8/hook", "https://172.32.0.1/hook"], id="IPv4"),
        pytest.param(["https://[2606:4700::1111]/", "https://[::ffff:8.8.8.8]/"], id="IPv6"),
        pytest.param(
            ["https://localhost.example.com/hook", "https://10.example.com:8443/?to=127.0.0.1"],
            id="names",
        ),
    ],
)
async def test_a_callback_that_leads_outside_is_accepted(client, services, urls):
    """What only looks dangerous is somebody's address."""
    for url in urls:
        services.on("POST", url)
        accepted = await client.post("/payments", json=payment(url=url))
        assert accepted.status == 202, f"the status of {url!r}"

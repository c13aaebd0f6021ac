"""What must happen to a heavy query, and to those who read meanwhile."""

from datetime import datetime, timedelta

import pytest


def sold(sku, quantity=1, price=100):
    at = "2026-01-15T12:00:00+00:00"
    return {"sku": sku, "quantity": quantity, "price_cents": price, "ordered_at": at}


TEA = {"sku": "tea", "quantity": 5, "revenue_cents": 1400}
JAM = {"sku": "jam", "quantity": 1, "revenue_cents": 400}
COCOA = {"sku": "cocoa", "quantity": 1, "revenue_cents": 100}


@pytest.fixture(autouse=True)
def orders(kata, database):
    database.insert("orders", sold("tea", 2, 250), sold("jam", 1, 400), sold("tea", 3, 300))


async def refreshed(client):
    """Refresh the summary, to the end of the task."""
    exchange = await client.post("/summary/refresh")
    assert (exchange.status, exchange.json()) == (202, {"status": "refreshing"}), "the response"
    return exchange


async def summary(client):
    """The rows of the summary, by sku."""
    response = await client.begin("GET", "/summary").until_responded()
    assert response.status == 200, "the status of GET /summary"
    return by_sku((response.json() or {}).get("rows"))


def by_sku(rows):
    return sorted(rows or [], key=lambda row: row.get("sku", ""))


async def test_the_client_is_told_that_it_is_refreshing(client):
    """The response is all that the client waits for."""
    exchange = await client.post("/summary/refresh")

    assert exchange.status == 202, "the response's status: accepted, not done"
    assert exchange.json() == {"status": "refreshing"}, "the response's body"


async def test_the_query_runs_only_after_the_response(client, timeline):
    """A heavy query must not keep the client waiting."""
    await client.post("/summary/refresh")

    assert timeline.order("response", "query orders") == ["response", "query orders"]


async def test_the_summary_adds_up_each_sku(client):
    """Quantities are added up, and revenue is quantity times price of each order."""
    await refreshed(client)

    assert await summary(client) == [JAM, TEA], (
        "the rows; sold were 2 tea at 250, 1 jam at 400, and 3 tea at 300"
    )


async def test_before_the_first_refresh_there_is_no_summary(client, database):
    """Nothing known is not the same as nothing sold."""
    before = await client.get("/summary")
    with database.hold_queries("orders") as slow_query:
        first = await client.begin("POST", "/summary/refresh").until_responded()
        await slow_query.until_reached()
        during = await client.begin("GET", "/summary").until_responded()
        slow_query.release()
        await first.until_finished()

    assert before.status == 404, "the status of GET /summary before the first refresh"
    assert "detail" in (before.json() or {}), "FastAPI's usual {'detail': ...}"
    assert during.status == 404, "the status while the first refresh runs: there is no summary yet"
    assert await summary(client) == [JAM, TEA], "the rows after it"


async def test_a_summary_of_no_orders_has_no_rows(client, database):
    """Nothing sold is a summary too."""
    database.delete("orders")

    await refreshed(client)

    assert await summary(client) == [], "the rows"


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_readers_see_the_last_whole_summary_until_the_new_one_is(client, database, after):
    """Half a summary looks like a bad month."""
    await refreshed(client)
    database.insert("orders", sold("cocoa"), sold("tea", 5, 100))
    with database.hold_queries("orders", after=after) as slow_query:
        refresh = await client.begin("POST", "/summary/refresh").until_responded()
        await client.finish_what_can([refresh])
        if not refresh.finished:
            assert await summary(client) == [JAM, TEA], (
                f"the rows while query number {after + 1} of the refresh runs: those of the last summary"
            )
        slow_query.release()
        await refresh.until_finished()

    assert slow_query.reached or after, "the summary must be computed by a query of `orders`"
    assert await summary(client) == [
        COCOA,
        JAM,
        {"sku": "tea", "quantity": 10, "revenue_cents": 1900},
    ], "the rows when it has finished"


async def test_readers_are_answered_while_the_query_runs(client, database, timeline):
    """A heavy query is work that blocks: it belongs in a worker thread."""
    await refreshed(client)
    with database.hold_queries("orders") as slow_query:
        refresh = await client.begin("POST", "/summary/refresh").until_responded()
        await slow_query.until_reached()
        reader = await client.begin("GET", "/summary").until_responded()
        slow_query.release()
        await refresh.until_finished()

    assert reader.status == 200, "the status of GET /summary while the query runs"
    assert timeline.blocked() == [], (
        "the query ran on the event loop's thread: let a `def` task do it, "
        "or `await run_in_threadpool(...)`"
    )


async def test_the_time_is_when_it_was_refreshed(client, clock, database):
    """Whoever reads a summary wants to know how old it is."""
    start = clock.now
    with database.hold_queries("orders") as slow_query:
        refresh = await client.begin("POST", "/summary/refresh").until_responded()
        await slow_query.until_reached()
        clock.tick(60)
        slow_query.release()
        await refresh.until_finished()
    times = []
    for _ in range(2):
        clock.tick(600)
        times.append(((await client.get("/summary")).json() or {}).get("refreshed_at"))

    assert times[0] == times[1], "refreshed_at of one summary, read twice with 600 s between"
    assert isinstance(moment(times[0]), datetime), f"ISO 8601 with an offset, and not {times[0]!r}"
    assert start <= moment(times[0]) <= start + timedelta(seconds=60), (
        "refreshed_at must lie between the start and the end of the refresh, which took 60 s"
    )


async def test_the_old_time_goes_with_the_old_rows(client, clock, database):
    """A fresh date on old numbers is a lie."""
    await refreshed(client)
    old = (await client.get("/summary")).json()
    clock.tick(600)
    with database.hold_queries("orders") as slow_query:
        refresh = await client.begin("POST", "/summary/refresh").until_responded()
        await slow_query.until_reached()
        during = (await client.begin("GET", "/summary").until_responded()).json()
        slow_query.release()
        await refresh.until_finished()
    new = (await client.get("/summary")).json()

    assert during == old, "while a refresh runs, the last summary stays as it was, time included"
    assert (new or {}).get("refreshed_at") != (old or {}).get("refreshed_at"), (
        "refreshed_at after the second refresh, 600 s later"
    )


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(None, id="the database"),
        pytest.param(RuntimeError("a bug"), id="anything else"),
    ],
)
async def test_a_refresh_that_fails_leaves_the_old_summary(client, database, error):
    """And the next one is accepted: one bad minute must not be the end of it."""
    await refreshed(client)
    database.insert("orders", sold("cocoa"))
    database.fail_queries("orders", error)
    await refreshed(client)
    after_failure = await summary(client)
    database.heal()
    await refreshed(client)

    assert after_failure == [JAM, TEA], "the rows after a refresh that failed: those from before"
    assert await summary(client) == [COCOA, JAM, TEA], "the rows after the next refresh"


async def test_a_first_refresh_that_fails_leaves_no_summary(client, database):
    """Nothing is known yet, and nothing may be made up."""
    database.fail_queries("orders")
    await refreshed(client)

    assert (await client.get("/summary")).status == 404, "there has never been a whole summary"


async def test_a_refresh_beside_another_is_not_begun(client, database, timeline):
    """Ten impatient people must not make ten heavy queries."""
    with database.hold_queries("orders", limit=2) as slow_query:
        first = await client.begin("POST", "/summary/refresh").until_responded()
        await slow_query.until_reached()
        second = await client.begin("POST", "/summary/refresh").until_responded()
        await client.finish_what_can([second])
        slow_query.release()
        await first.until_finished()
        await second.until_finished()

    assert (second.status, second.json()) == (202, {"status": "already refreshing"}), (
        "the response to a refresh that is asked for while one runs"
    )
    assert {e.exchange for e in timeline if e.is_a("query orders")} == {first.number}, (
        "only the first may query `orders`"
    )
    await refreshed(client)


async def test_a_refresh_counts_from_its_response_on(client, timeline):
    """Between the response and the query there is time enough for somebody else to ask."""
    async with client.responded("POST", "/summary/refresh") as first:
        second = client.begin("POST", "/summary/refresh")
        await client.finish_what_can([second])
        assert second.responded, (
            "the second request must be answered while the first waits to begin"
        )

    await second.until_finished()
    assert second.json() == {"status": "already refreshing"}, (
        "the response to a refresh that is asked for when one has been accepted and has not begun"
    )
    assert {e.exchange for e in timeline if e.is_a("query orders")} == {first.number}, (
        "only the first may query `orders`"
    )
    await refreshed(client)


def moment(text):
    """The time that a text says, or the text where it says none."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return text
    return time if time.tzinfo else f"{text} without an offset"

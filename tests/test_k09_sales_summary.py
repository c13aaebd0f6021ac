"""A heavy query, and the clients that read while it runs."""

from datetime import datetime

import pytest

from dojo.specs import time_of


def sold(sku, quantity=1, price=100):
    at = "2026-01-15T12:00:00+00:00"
    return {"sku": sku, "quantity": quantity, "price_cents": price, "ordered_at": at}


TEA = {"sku": "tea", "quantity": 5, "revenue_cents": 1400}
JAM = {"sku": "jam", "quantity": 1, "revenue_cents": 400}
COCOA = {"sku": "cocoa", "quantity": 1, "revenue_cents": 100}

# How many statements and commits of a refresh are looked at.
STEPS = 12
# How many lines of a `def` endpoint are.
LINES = 30


@pytest.fixture(autouse=True)
def orders(kata, database):
    database.insert("orders", sold("tea", 2, 250), sold("jam", 1, 400), sold("tea", 3, 300))


async def refreshed(client):
    """Refresh the summary, to the end of the task."""
    response = await client.post("/summary/refresh")
    assert (response.status_code, response.json()) == (202, {"status": "refreshing"}), (
        "the response must be a 202 that says `refreshing`"
    )
    return response.exchange


async def summary(client):
    """The rows of the summary, by sku."""
    return (await shown(client))["rows"]


async def shown(client, when=""):
    """The whole summary, its rows by sku."""
    reader = client.begin("GET", "/summary", crashes=True)
    response = (await reader.until_responded()).response
    assert response.status_code == 200, (
        f"the status of GET /summary{when}, whose body is {response.content!r}"
    )
    rows = response.field("rows") or []
    return {**response.json(), "rows": sorted(rows, key=lambda row: row.get("sku", ""))}


async def test_the_client_is_told_that_it_is_refreshing(client):
    """The response is all that the client waits for."""
    response = await client.post("/summary/refresh")

    assert response.status_code == 202, "the response's status must be 202: accepted, not done"
    assert response.json() == {"status": "refreshing"}, "the response's body must be this JSON"


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


async def test_each_sku_has_a_row_even_one_that_has_earned_nothing(client, database):
    """A gift is sold, too. And the summary is that of all orders, whenever they came."""
    long_ago = {**sold("tea", 1, 600), "ordered_at": "2019-12-31T23:30:00-05:00"}
    back = sold("mug", -1, 300)
    database.insert("orders", sold("gift", 3, 0), sold("Tea", 2, 50), long_ago, back)

    await refreshed(client)

    assert await summary(client) == [
        {"sku": "Tea", "quantity": 2, "revenue_cents": 100},
        {"sku": "gift", "quantity": 3, "revenue_cents": 0},
        JAM,
        {"sku": "mug", "quantity": -1, "revenue_cents": -300},
        {"sku": "tea", "quantity": 6, "revenue_cents": 2000},
    ], (
        "the rows; sold were besides 3 gift at 0, 2 Tea at 50, and 1 tea at 600 in 2019, "
        "and 1 mug at 300 came back"
    )


async def test_before_the_first_refresh_there_is_no_summary(client, database):
    """Nothing known is not the same as nothing sold."""
    before = await client.get("/summary")
    async with client.in_flight("POST", "/summary/refresh") as refresh:
        with database.hold_queries("orders") as slow_query:
            await refresh.until_responded()
            await slow_query.until_reached()
            during = await client.begin("GET", "/summary").until_responded()

    assert before.status_code == 404, (
        "the status of GET /summary before the first refresh must be 404"
    )
    assert "detail" in before.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert during.response.status_code == 404, (
        "the status while the first refresh runs: there is no summary yet"
    )
    assert await summary(client) == [JAM, TEA], "the rows after it"


async def test_a_summary_of_no_orders_has_no_rows(client, database):
    """Nothing sold is a summary too, also where there has been another one before."""
    for orders in ([], [sold("cocoa")], []):
        database.delete("orders")
        database.insert("orders", *orders)

        await refreshed(client)

        assert await summary(client) == [COCOA] * len(orders), (
            f"the rows after a refresh when there were {len(orders)} orders"
        )


async def test_readers_see_the_last_whole_summary_until_the_new_one_is(
    client, clock, database, steps
):
    """Half a summary looks like a bad month. Here somebody reads before each step of a refresh."""
    await refreshed(client)
    old = await shown(client)
    clock.tick(60)
    database.insert("orders", sold("cocoa"), sold("tea", 0))
    seen: list[tuple[str, dict]] = []
    async with client.responded("POST", "/summary/refresh") as refresh:
        async for step in steps.of(refresh):
            when = f" while the refresh is held at step {len(seen) + 1}, just before {step}"
            seen.append((when, await shown(client, when)))
    new = await shown(client)

    for when, during in seen:
        assert during in (old, new), (
            f"what GET /summary shows{when}: neither the last summary nor the new one, but {during}"
        )
    assert new["rows"] == [COCOA, JAM, TEA], "the rows when the second refresh has finished"


async def test_readers_are_answered_while_the_query_runs(client, database, timeline):
    """A heavy query is work that blocks: it belongs in a worker thread."""
    await refreshed(client)
    async with client.in_flight("POST", "/summary/refresh") as refresh:
        with database.hold_queries("orders") as slow_query:
            await refresh.until_responded()
            await slow_query.until_reached()
            reader = await client.begin("GET", "/summary").until_responded()

    assert reader.response.status_code == 200, "the status of GET /summary while the query runs"
    assert timeline.blocked() == [], (
        "the query ran on the event loop's thread: let a `def` task do it, "
        "or `await run_in_threadpool(...)`"
    )


async def test_the_time_is_when_it_was_refreshed(client, clock, database):
    """People who read a summary want to know how old it is."""
    start = clock.now
    async with client.in_flight("POST", "/summary/refresh") as refresh:
        with database.hold_queries("orders") as slow_query:
            await refresh.until_responded()
            await slow_query.until_reached()
            clock.tick(60)
    end = clock.now
    times = []
    for _ in range(2):
        clock.tick(600)
        times.append((await client.get("/summary")).field("refreshed_at"))

    assert times[0] == times[1], (
        "refreshed_at of one summary, read twice with 600 s between, must be the same"
    )
    assert isinstance(time_of(times[0]), datetime), f"ISO 8601 with an offset, and not {times[0]!r}"
    assert start <= time_of(times[0]) <= end, (
        f"refreshed_at, which must lie between the start of the refresh, {start}, and its end, {end}"
    )


async def test_the_old_time_goes_with_the_old_rows(client, clock, database):
    """A fresh date on old numbers is a lie."""
    await refreshed(client)
    old = await client.get("/summary")
    clock.tick(600)
    async with client.in_flight("POST", "/summary/refresh") as refresh:
        with database.hold_queries("orders") as slow_query:
            await refresh.until_responded()
            await slow_query.until_reached()
            during = await client.begin("GET", "/summary").until_responded()
    new = await client.get("/summary")

    assert during.response.json() == old.json(), (
        "while a refresh runs, the last summary stays as it was, time included"
    )
    assert new.field("refreshed_at") != old.field("refreshed_at"), (
        "refreshed_at after the second refresh, 600 s later, must be another"
    )


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(None, id="the database"),
        pytest.param(RuntimeError("a bug (made by this spec)"), id="anything else"),
    ],
)
async def test_a_refresh_that_fails_leaves_the_old_summary(
    client, clock, database, error, timeline
):
    """And the next one is accepted: one bad minute must not be the end of it."""
    await refreshed(client)
    for query in range(STEPS):
        old = await shown(client)
        clock.tick(60)
        database.insert("orders", sold("cocoa"))
        database.fail_queries("orders", error, after=query)
        failed = await refreshed(client)
        after_failure = await shown(client)
        database.heal()
        await refreshed(client)
        new = await shown(client)

        if query == 0:
            assert after_failure == old, (
                "the summary after a refresh that failed at its query of orders (this spec made it fail): the old one"
            )
        assert after_failure == old or after_failure["rows"] == new["rows"], (
            f"after a refresh that failed at query number {query + 1} of orders (this spec made it fail), "
            f"GET /summary shows neither the old summary nor a whole new one, but {after_failure}"
        )
        assert new["rows"] == [
            {**COCOA, "quantity": query + 1, "revenue_cents": 100 * (query + 1)},
            JAM,
            TEA,
        ], "the rows after the next refresh"
        if queries_by(failed, timeline) <= query:
            break


async def test_a_first_refresh_that_fails_leaves_no_summary(client, database):
    """Nothing is known yet, and nothing may be made up. The next one may bring it."""
    database.fail_queries("orders")
    await refreshed(client)

    assert (await client.get("/summary")).status_code == 404, "there has never been a whole summary"
    database.heal()
    await refreshed(client)
    assert await summary(client) == [JAM, TEA], "the rows after the next refresh"


EXCHANGE_EVENTS = pytest.mark.parametrize("moment", ["a statement or commit", "a sleep"])


def holds_at(moment, clock, database, **which):
    """A hold for each of the moments that an exchange can be held at."""
    if moment == "a sleep":
        yield clock.hold()
    else:
        yield from (database.hold_step(step, **which) for step in range(STEPS))


@EXCHANGE_EVENTS
async def test_a_refresh_beside_another_is_not_begun(client, clock, database, timeline, moment):
    """Ten impatient people must not make ten heavy queries."""
    for hold in holds_at(moment, clock, database):
        async with client.in_flight("POST", "/summary/refresh") as first:
            with hold:
                if not await first.until_held():
                    break
                runs = first.responded
                second = client.begin("POST", "/summary/refresh")
                await client.finish_what_can([first, second])
                meanwhile = runs and second.responded
                queried = queries_by(second, timeline)

        assert not (runs and queried), (
            f"a second refresh queried orders while the first one was held at {hold.what}"
        )
        # One that keeps its state in the database may have to wait for what the first has locked.
        if meanwhile:
            assert (second.response.status_code, second.response.json()) == (
                202,
                {"status": "already refreshing"},
            ), (
                "the response to a refresh that was asked for while one ran: "
                f"the first was held at {hold.what}"
            )
    await refreshed(client)


@pytest.mark.parametrize("moment", ["a statement or commit", "a sleep", "a line"])
async def test_of_two_refreshes_at_the_same_moment_one_is_accepted(
    lines, client, clock, database, moment
):
    """A flag that is looked at first and raised afterwards is seen down by two."""
    holds = (
        map(lines.hold, range(LINES))
        if moment == "a line"
        else holds_at(moment, clock, database, in_task=False)
    )
    for hold in holds:
        async with client.in_flight("POST", "/summary/refresh") as first:
            with database.hold_queries("orders", limit=2):
                with hold:
                    await first.until_held()
                    second = client.begin("POST", "/summary/refresh")
                    await client.finish_what_can([first, second])
                await client.finish_what_can([first, second])
                accepted = [
                    exchange.number
                    for exchange in (first, second)
                    if exchange.responded
                    and exchange.response.json() == {"status": "refreshing"}
                    and not exchange.finished
                ]

        assert len(accepted) <= 1, (
            "two requests were told `refreshing`, and neither of the two refreshes had ended: "
            f"the first request was held before {hold.what}, while the second one came"
        )
        if not hold.reached:
            break
    await refreshed(client)


async def test_a_refresh_counts_from_its_response_on(client, timeline):
    """Between the response and the query there is time enough for somebody else to ask."""
    others = []
    async with client.responded("POST", "/summary/refresh"):
        for number in ("second", "third"):
            others.append(client.begin("POST", "/summary/refresh"))
            await client.finish_what_can(others)
            assert others[-1].responded, (
                f"the {number} request must get its response while the first waits to begin"
            )

    await client.finish(others)
    said = [exchange.response.json() for exchange in others]
    assert said == [{"status": "already refreshing"}] * 2, (
        "the responses to two refreshes, one behind the other, that are asked for when one has been "
        "accepted and has not begun: who is refused a turn must not give back somebody else's"
    )
    queries = [queries_by(exchange, timeline) for exchange in others]
    assert queries == [0, 0], "only the first may query orders"
    await refreshed(client)


def queries_by(exchange, timeline):
    """How often an exchange has queried `orders`."""
    return sum(e.exchange == exchange.number for e in timeline if e.is_a("query orders"))

"""What must happen to a report that takes long, and what the client can see of it."""

import csv
import io
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest

HEADER = ["sku", "quantity", "revenue_cents"]


def sold(sku, quantity=1, price=100, at="2026-01-15T12:00:00+00:00"):
    return {"sku": sku, "quantity": quantity, "price_cents": price, "ordered_at": at}


@pytest.fixture(autouse=True)
def orders(kata, database):
    database.insert("orders", sold("tea", 2, 250), sold("jam", 1, 400), sold("tea", 3, 300))


async def requested(client, month="2026-01", **options):
    """Begin to make a report, up to its response; the exchange, and the report's address."""
    exchange = client.begin("POST", "/reports", json={"month": month}, **options)
    await exchange.until_responded()
    assert exchange.status == 202, f"the status of POST /reports for {month}"
    return exchange, f"/reports/{(exchange.json() or {}).get('report_id')}"


async def finished(client, month="2026-01"):
    """Make a report to its end; its address."""
    exchange, url = await requested(client, month)
    await exchange.until_finished()
    return url


async def rows_of(client, url):
    """The rows of a finished report, the header first."""
    file = await client.get(f"{url}/file")
    assert file.status == 200, "the status of GET /reports/{id}/file of a report that is done"
    return list(csv.reader(io.StringIO(file.body.decode(), newline="")))


async def status_of(client, url):
    return ((await client.get(url)).json() or {}).get("status")


async def test_the_client_is_told_where_to_look(client):
    """Accepted is not done: the client gets an address to come back to."""
    exchange = await client.post("/reports", json={"month": "2026-01"})

    body = exchange.json() or {}
    assert exchange.status == 202, "the response's status: accepted, not done"
    assert body.get("status") == "queued", "the response's `status`"
    assert body.get("report_id"), "the response's `report_id` must be an id"
    assert urlsplit(exchange.headers.get("location", "")).path == f"/reports/{body['report_id']}", (
        "the header Location must be /reports/{id}"
    )


async def test_the_report_is_made_only_after_the_response(client, timeline):
    """A report that takes a minute must not keep the client waiting for a minute."""
    await client.post("/reports", json={"month": "2026-01"})

    assert timeline.order("response", "query orders") == ["response", "query orders"]


async def test_a_client_that_asks_meanwhile_is_told_that_it_runs(client, database):
    """Who waits wants to know that something happens."""
    with database.hold_queries("orders") as slow_query:
        exchange, url = await requested(client)
        await slow_query.until_reached()
        meanwhile = await client.begin("GET", url).until_responded()
        file = await client.begin("GET", f"{url}/file").until_responded()
        slow_query.release()
        await exchange.until_finished()

    body = meanwhile.json() or {}
    assert body.get("status") == "running", "the status while the report is being made"
    assert sorted(body) == ["finished_at", "report_id", "requested_at", "status"], (
        "what GET /reports/{id} says of a report"
    )
    assert body["finished_at"] is None, "a report that runs has not finished: null"
    assert file.status == 409, "the status of the file while the report is being made"


async def test_a_finished_report_says_so(client):
    """Then the client can fetch it."""
    url = await finished(client)
    response = await client.get(url)

    body = response.json() or {}
    assert (response.status, body.get("status")) == (200, "done"), "(HTTP status, report's status)"
    assert f"/reports/{body.get('report_id')}" == url, "the report's id"


async def test_the_times_are_when_it_was_requested_and_when_it_finished(client, clock, database):
    """How long reports take is the first thing that anybody asks."""
    start = clock.now
    with database.hold_queries("orders") as slow_query:
        exchange, url = await requested(client)
        await slow_query.until_reached()
        clock.tick(90)
        slow_query.release()
        await exchange.until_finished()
    clock.tick(60)
    body = (await client.get(url)).json() or {}

    assert moment(body.get("requested_at")) == start, "requested_at, ISO 8601 with an offset"
    assert moment(body.get("finished_at")) == start + timedelta(seconds=90), (
        "finished_at, ISO 8601 with an offset: the report took 90 s"
    )


async def test_the_file_is_a_csv_to_be_saved(client):
    """A browser should offer to save it, and a spreadsheet to open it."""
    file = await client.get(f"{await finished(client)}/file")

    assert file.headers.get("content-type", "").partition(";")[0] == "text/csv", "the content type"
    assert file.headers.get("content-disposition", "").startswith("attachment"), (
        "the header Content-Disposition must say `attachment`"
    )


async def test_the_file_has_a_line_for_each_sku(client):
    """Quantities are added up, and revenue is quantity times price of each order."""
    rows = await rows_of(client, await finished(client))

    assert rows == [HEADER, ["jam", "1", "400"], ["tea", "5", "1400"]], (
        "the rows; sold were 2 tea at 250, 1 jam at 400, and 3 tea at 300"
    )


async def test_a_month_begins_and_ends_in_utc(client, database):
    """Orders come from all over the world, and each belongs to one month only."""
    database.insert(
        "orders",
        sold("before", at="2025-12-31T23:59:59+00:00"),
        sold("first", at="2026-01-01T00:00:00+00:00"),
        sold("last", at="2026-01-31T23:59:59+00:00"),
        sold("after", at="2026-02-01T00:00:00+00:00"),
        sold("early in Tokyo", at="2026-01-01T08:00:00+09:00"),
        sold("late in Lima", at="2026-01-31T21:00:00-05:00"),
        sold("soon in Tokyo", at="2026-02-01T08:00:00+09:00"),
        sold("still in Lima", at="2025-12-31T21:00:00-05:00"),
        sold("a year later", at="2027-01-15T12:00:00+00:00"),
    )

    january = [row[0] for row in await rows_of(client, await finished(client))]
    december = [row[0] for row in await rows_of(client, await finished(client, "2025-12"))]

    assert january == ["sku", "first", "jam", "last", "soon in Tokyo", "still in Lima", "tea"], (
        "the skus of January 2026, by the moment in UTC at which they were ordered"
    )
    assert december == ["sku", "before", "early in Tokyo"], "the skus of December 2025, likewise"


async def test_a_month_without_orders_has_only_the_header(client):
    """Nothing sold is a report too."""
    url = await finished(client, "2024-02")

    assert await status_of(client, url) == "done", "the status of a report without orders"
    assert await rows_of(client, url) == [HEADER], "the rows"


async def test_lines_are_sorted_by_code_points_and_quoted(client, database):
    """Two runs of one report must not differ, and a comma in a name must not shift columns."""
    database.insert("orders", sold('a "b", c'), sold("Tea"), sold("two\nlines"), sold("10"))

    rows = await rows_of(client, await finished(client))

    assert [row[0] for row in rows[1:]] == [
        "10",
        "Tea",
        'a "b", c',
        "jam",
        "tea",
        "two\nlines",
    ], "the skus in the order of their code points, as `sorted` has it"
    assert {len(row) for row in rows} == {3}, "three columns in each line"


async def test_a_formula_is_defused(client, database):
    """A spreadsheet runs what begins with = + - or @. Skus come from people."""
    database.insert(
        "orders", sold("=1+1"), sold("+tea"), sold("-tea"), sold("@tea"), sold("a=b"), sold("!tea")
    )
    database.insert("orders", sold("5 tea"))

    rows = await rows_of(client, await finished(client))

    assert [row[0] for row in rows[1:]] == [
        "!tea",
        "'+tea",
        "'-tea",
        "5 tea",
        "'=1+1",
        "'@tea",
        "a=b",
        "jam",
        "tea",
    ], "a leading apostrophe where the sku begins with = + - or @, sorted as if it were not there"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(None, id="the database"),
        pytest.param(RuntimeError("a bug"), id="anything else"),
    ],
)
async def test_a_report_that_fails_says_so(client, database, error):
    """A client that is never told waits for ever."""
    database.fail_queries("orders", error)

    url = await finished(client)
    body = (await client.get(url)).json() or {}
    file = await client.get(f"{url}/file")

    assert body.get("status") == "failed", "the status of a report whose query failed"
    assert isinstance(moment(body.get("finished_at")), datetime), (
        "a report that failed has finished: finished_at must be ISO 8601 with an offset"
    )
    assert file.status == 409, "the status of the file of a report that is not done"


@pytest.mark.parametrize("step", [1, 2], ids=["about to be written", "half-written"])
async def test_a_half_written_file_is_never_served(client, database, disk, step):
    """Half a report looks like a bad month."""
    database.insert("orders", *(sold(f"sku {number:04}") for number in range(900)))
    exchange, url = await requested(client, stop_at_response=True)
    with disk.hold("*", step=step) as writing:
        await client.finish_what_can([exchange])
        meanwhile = None if exchange.finished else await client.get(f"{url}/file")
        status = None if exchange.finished else await status_of(client, url)
        writing.release()
        await exchange.until_finished()

    assert meanwhile is None or meanwhile.status == 409, (
        "the status of the file while it is written"
    )
    assert status != "done", "a report is not done while its file is being written"
    assert len(await rows_of(client, url)) == 903, "the lines of the file when it is done"


@pytest.mark.parametrize(
    "month",
    [
        "2026-13",
        "2026-00",
        "2026-1",
        "202601",
        "2026-01-01",
        "01-2026",
        " 2026-01",
        "2026-01\n",
        "٢٠٢٦-٠١",
        "",
    ],
)
async def test_what_is_no_month_is_refused(client, timeline, month):
    """What is refused leaves no trace."""
    refused = await client.post("/reports", json={"month": month})
    queried = timeline.of("query orders")
    accepted = await client.post("/reports", json={"month": "2026-12"})

    assert (refused.status, accepted.status) == (422, 202), f"the statuses of {month!r} and 2026-12"
    assert "detail" in (refused.json() or {}), "FastAPI's usual {'detail': ...}"
    assert queried == [], "no report may be made of it"


async def test_an_unknown_report_is_not_found(client):
    """A client that mistypes an id must not wait for ever."""
    known = await finished(client)
    unknown = known[:-1] + ("1" if known.endswith("0") else "0")
    urls = (known, unknown, f"{unknown}/file")
    statuses = [(await client.get(url)).status for url in urls]

    assert statuses == [200, 404, 404], (
        "the statuses of a known report, an unknown one, and its file"
    )


async def test_reports_in_flight_do_not_mix(client, database):
    """Requests overlap on any real server: nothing may be shared between them."""
    database.insert("orders", sold("cocoa", at="2026-02-10T12:00:00+00:00"))
    with database.hold_queries("orders") as slow_query:
        january, january_url = await requested(client, "2026-01")
        await slow_query.until_reached()
        february, february_url = await requested(client, "2026-02")
        await client.finish_what_can([january, february])
        states = [await status_of(client, url) for url in (january_url, february_url)]
        slow_query.release()
        await january.until_finished()
        await february.until_finished()

    assert january_url != february_url, "each report must have an id of its own"
    assert states == ["running", "done"], (
        "the status of January, which was held up, and of February, which was made meanwhile"
    )
    assert [row[0] for row in await rows_of(client, january_url)] == ["sku", "jam", "tea"], (
        "the skus of January"
    )
    assert [row[0] for row in await rows_of(client, february_url)] == ["sku", "cocoa"], (
        "the skus of February"
    )


async def test_two_reports_of_one_month_are_two(client, database):
    """The second may differ: orders come in all the time."""
    first = await finished(client)
    database.insert("orders", sold("cocoa"))
    second = await finished(client)

    assert first != second, "each report must have an id of its own"
    assert len(await rows_of(client, first)) == 3, "the first report stays as it was"
    assert len(await rows_of(client, second)) == 4, "the second report has the new order"


async def test_a_report_does_not_hold_up_the_event_loop(client, timeline):
    """A query and a file are work that blocks."""
    url = await finished(client)

    assert await status_of(client, url) == "done", "the report's status"
    assert timeline.blocked() == [], (
        "work was done on the event loop's thread: let a `def` task do it, "
        "or `await run_in_threadpool(...)`"
    )


def moment(text):
    """The time that a text says, or the text where it says none."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return text
    return time if time.tzinfo else f"{text} without an offset"

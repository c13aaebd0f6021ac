"""A report that takes long, and what the client can see of it."""

import csv
import io
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest

from dojo.specs import time_of

HEADER = ["sku", "quantity", "revenue_cents"]


def sold(sku, quantity=1, price=100, at="2026-01-15T12:00:00+00:00"):
    return {"sku": sku, "quantity": quantity, "price_cents": price, "ordered_at": at}


@pytest.fixture(autouse=True)
def orders(kata, database):
    database.insert("orders", sold("tea", 2, 250), sold("jam", 1, 400), sold("tea", 3, 300))


JANUARY = {"month": "2026-01"}


def url_of(response):
    """The address of a report that was requested."""
    assert response.status_code == 202, "the status of POST /reports must be 202"
    return f"/reports/{response.field('report_id')}"


async def finished(client, month="2026-01"):
    """Make a report to its end; its address."""
    return url_of(await client.post("/reports", json={"month": month}))


async def rows_of(client, url):
    """The rows of a finished report, the header first."""
    return rows_in(await client.get(f"{url}/file"))


def rows_in(file):
    assert file.status_code == 200, "the status of GET /reports/{id}/file of a report that is done"
    text = file.content.decode("utf-8", "replace")
    return list(csv.reader(io.StringIO(text, newline="")))


async def skus_of(client, url):
    """The skus of a finished report, without the header."""
    return [row[0] for row in (await rows_of(client, url))[1:] if row]


async def state_of(client, url):
    """The state of a report, as GET shows it."""
    body = (await client.get(url)).json()
    check_complete(body)
    return body


def check_complete(body):
    missing = sorted({"report_id", "status", "requested_at", "finished_at"}.difference(body or ()))
    assert missing == [], f"GET must say each of these, also where it is null; its body is {body}"


async def status_of(client, url):
    return (await state_of(client, url)).get("status")


async def test_the_client_is_told_where_to_look(client):
    """Accepted is not done: the client gets an address to come back to."""
    response = await client.post("/reports", json=JANUARY)

    assert response.status_code == 202, "the response's status must be 202: accepted, not done"
    assert response.field("status") == "queued", "the response's `status` must be `queued`"
    assert response.field("report_id"), "the response's `report_id` must be an id"
    assert urlsplit(response.headers.get("location", "")).path == url_of(response), (
        "the header Location must be /reports/{id}"
    )


async def test_the_report_is_made_only_after_the_response(client, timeline):
    """A report that takes a minute must not keep the client waiting for a minute."""
    await client.post("/reports", json=JANUARY)

    assert timeline.order("response", "query orders") == ["response", "query orders"]


async def test_a_report_is_queued_until_its_task_begins(client):
    """Many may stand in the queue, and each client can see that its report is one of them."""
    async with client.responded("POST", "/reports", json=JANUARY) as exchange:
        url = url_of(exchange.response)
        response = await client.get(url)
        file = await client.get(f"{url}/file")

    body = response.json()
    assert response.status_code == 200, (
        "the status of GET /reports/{id} between response and task must be 200"
    )
    assert (body.get("status"), body.get("finished_at")) == ("queued", None), (
        f"(status, finished_at) between the response and the task; the body is {body}"
    )
    assert file.status_code == 409, "the status of the file of a report that is queued"


async def test_a_client_that_asks_meanwhile_is_told_running(client, database):
    """A client that waits wants to know that somebody is working on it."""
    async with client.in_flight("POST", "/reports", json=JANUARY) as exchange:
        with database.hold_queries("orders") as slow_query:
            await exchange.until_responded()
            url = url_of(exchange.response)
            await slow_query.until_reached()
            meanwhile = await client.begin("GET", url).until_responded()
            file = await client.begin("GET", f"{url}/file").until_responded()

    body = meanwhile.response.json()
    assert meanwhile.response.field("status") == "running", (
        "the status while the report is being made"
    )
    check_complete(body)
    assert body["finished_at"] is None, "a report that runs has not finished: null"
    assert file.response.status_code == 409, "the status of the file while the report is being made"


async def test_a_finished_report_says_so(client):
    """Then the client can fetch it, and once more when the browser has lost it."""
    url = await finished(client)
    response = await client.get(url)

    body = response.json()
    assert (response.status_code, body.get("status")) == (200, "done"), (
        "(HTTP status, report's status)"
    )
    assert f"/reports/{body.get('report_id')}" == url, (
        "the report's id must be the one in its address"
    )
    assert await rows_of(client, url) == await rows_of(client, url), (
        "the file must be the same when it is fetched twice"
    )
    assert await status_of(client, url) == "done", "the report's status when it is asked for again"


async def test_the_times_say_when_it_was_requested_and_when_it_finished(client, clock, database):
    """How long reports take, the time in the queue included, is the first thing that anybody
    asks."""
    start = clock.now
    async with client.responded("POST", "/reports", json=JANUARY) as exchange:
        clock.tick(30)
        with database.hold_queries("orders") as slow_query:
            exchange.release()
            await slow_query.until_reached()
            clock.tick(90)
    clock.tick(60)
    body = await state_of(client, url_of(exchange.response))

    assert str(time_of(body.get("requested_at"))) == str(start), (
        "requested_at, ISO 8601 with an offset: when POST /reports came, 30 s before its task began"
    )
    assert str(time_of(body.get("finished_at"))) == str(start + timedelta(seconds=120)), (
        "finished_at, ISO 8601 with an offset: the report was made 120 s after it was requested"
    )


async def test_the_file_is_a_csv_to_be_saved(client):
    """A browser should offer to save it, and a spreadsheet to open it."""
    file = await client.get(f"{await finished(client)}/file")

    kind = file.headers.get("content-type", "")
    disposition = file.headers.get("content-disposition", "")
    assert kind.partition(";")[0].strip().lower() == "text/csv", "the content type must be text/csv"
    assert disposition.partition(";")[0].strip().lower() == "attachment", (
        "the header Content-Disposition must say `attachment`, alone or with `; filename=...` "
        f"behind it, and it is {disposition!r}"
    )


async def test_the_file_has_a_line_for_each_sku(client):
    """Quantities are added up, and revenue is quantity times price of each order."""
    rows = await rows_of(client, await finished(client))

    assert rows == [HEADER, ["jam", "1", "400"], ["tea", "5", "1400"]], (
        "the rows; sold were 2 tea at 250, 1 jam at 400, and 3 tea at 300"
    )


async def test_a_sku_that_was_ordered_has_a_line_whatever_its_sum(client, database):
    """A sku that was ordered and earned nothing is just what somebody will look for."""
    database.insert("orders", sold("sample", 0, 300), sold("gift", 2, 0))

    rows = await rows_of(client, await finished(client))

    assert rows[1:] == [
        ["gift", "2", "0"],
        ["jam", "1", "400"],
        ["sample", "0", "0"],
        ["tea", "5", "1400"],
    ], "the rows, with `sample`, ordered with a quantity of 0, and `gift`, which costs nothing"


async def test_a_month_begins_and_ends_in_utc(client, database, zone):
    """Orders come from all over the world, the server is somewhere, and each order belongs to one
    month only."""
    database.insert(
        "orders",
        sold("before", at="2025-12-31T23:59:59+00:00"),
        sold("first", at="2026-01-01T00:00:00+00:00"),
        sold("last", at="2026-01-31T23:59:59.500+00:00"),
        sold("after", at="2026-02-01T00:00:00+00:00"),
        sold("in March", at="2026-03-01T00:00:00+00:00"),
        sold("early in Tokyo", at="2026-01-01T08:00:00+09:00"),
        sold("late in Lima", at="2026-01-31T21:00:00-05:00"),
        sold("soon in Tokyo", at="2026-02-01T08:00:00+09:00"),
        sold("still in Lima", at="2025-12-31T21:00:00-05:00"),
        sold("a year before", at="2025-01-15T12:00:00+00:00"),
        sold("a year later", at="2027-01-15T12:00:00+00:00"),
    )

    with zone.foreign():
        january = await skus_of(client, await finished(client))
        december = await skus_of(client, await finished(client, "2025-12"))
        february = await skus_of(client, await finished(client, "2026-02"))

    assert january == ["first", "jam", "last", "soon in Tokyo", "still in Lima", "tea"], (
        "the skus of January 2026, by the moment in UTC at which they were ordered "
        "(on a machine whose own time zone is 9 hours ahead)"
    )
    assert december == ["before", "early in Tokyo"], "the skus of December 2025, likewise"
    assert february == ["after", "late in Lima"], "the skus of February 2026, likewise"


async def test_an_offset_may_be_z_or_have_minutes(client, database):
    """ISO 8601 has a letter for UTC, and India is five and a half hours ahead."""
    database.insert(
        "orders",
        sold("last", at="2026-01-31T23:59:59Z"),
        sold("after", at="2026-02-01T00:00:00Z"),
        sold("soon in Delhi", at="2026-02-01T05:15:00+05:30"),
        sold("early in Delhi", at="2026-01-01T05:15:00+05:30"),
        sold("still in St. John's", at="2025-12-31T20:45:00-03:30"),
        sold("late in St. John's", at="2026-01-31T20:45:00-03:30"),
    )

    january = await skus_of(client, await finished(client))

    assert january == ["jam", "last", "soon in Delhi", "still in St. John's", "tea"], (
        "the skus of January 2026, by the moment in UTC at which they were ordered: "
        "ordered_at ends in Z, +05:30 or -03:30 here"
    )


async def test_a_month_without_orders_has_only_the_header(client):
    """A month in which nothing was sold has a report, too."""
    url = await finished(client, "2024-02")

    assert await status_of(client, url) == "done", (
        "the status of a report without orders must be `done`"
    )
    assert await rows_of(client, url) == [HEADER], "there must be no row but the header"


async def test_lines_are_sorted_by_code_points_and_quoted(client, database):
    """Two runs of one report must not differ, and a comma in a name must not shift columns."""
    skus = [
        'a "b", c',
        "Tea",
        "two\nlines",
        "10",
        "9",
        "zest",
        "tea ",
        "\u00e9clair",
        "\uff34ea",
        "\U0001f375",
    ]
    database.insert("orders", *(sold(sku) for sku in skus))

    rows = await rows_of(client, await finished(client))

    assert [row[0] for row in rows[1:] if row] == sorted([*skus, "jam", "tea"]), (
        "the skus in the order of their code points, as `sorted` has it"
    )
    assert {len(row) for row in rows} == {3}, "each line must have three columns"


async def test_the_file_is_utf_8_whatever_the_locale(client, database, disk):
    """On a machine with another locale, `open` without an encoding writes another one."""
    database.insert("orders", sold("\u8336"), sold("cr\u00e8me"))

    with disk.foreign_locale():
        url = await finished(client)
        assert await status_of(client, url) == "done", (
            "the status of a report with skus outside ASCII, on a machine whose locale is not "
            'UTF-8: open the file with encoding="utf-8"'
        )
        skus = await skus_of(client, url)

    assert skus == ["cr\u00e8me", "jam", "tea", "\u8336"], "the skus, read as UTF-8"


async def test_a_sku_that_begins_like_a_formula_gets_an_apostrophe(client, database):
    """A spreadsheet runs what begins with = + - or @. Skus come from people."""
    database.insert(
        "orders", sold("=1+1"), sold("+tea"), sold("-tea"), sold("@tea"), sold("a=b"), sold("!tea")
    )
    database.insert("orders", sold("5 tea"), sold("-5"), sold("'=1+1"), sold(" =tea"))

    rows = await rows_of(client, await finished(client))

    assert [row[0] for row in rows[1:]] == [
        " =tea",
        "!tea",
        "'=1+1",
        "'+tea",
        "'-5",
        "'-tea",
        "5 tea",
        "'=1+1",
        "'@tea",
        "a=b",
        "jam",
        "tea",
    ], (
        "a leading apostrophe where the sku begins with = + - or @, sorted as if it were not there; "
        "one of these skus is '=1+1, with an apostrophe of its own, and has a line of its own"
    )


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(None, id="the database"),
        pytest.param(RuntimeError("a bug, made by this spec"), id="anything else"),
    ],
)
async def test_a_report_that_fails_says_so(client, database, error):
    """A client that is never told waits for ever."""
    database.fail_queries("orders", error)

    url = await finished(client)
    body = await state_of(client, url)
    file = await client.get(f"{url}/file")

    check_failed(body, "its query of the orders failed (made so by this spec)")
    check_failed(await state_of(client, url), "its query failed, when a client asks once more")
    assert file.status_code == 409, "the status of the file of a report that is not done"

    database.heal()
    assert await status_of(client, await finished(client)) == "done", (
        "the next report must be `done`"
    )


async def test_a_report_that_cannot_be_written_is_failed(client, disk):
    """A disk is full one day, and then half of the report is on it."""
    refused = disk.fill_up_for("revenue_cents")

    url = await finished(client)
    body = await state_of(client, url)
    file = await client.get(f"{url}/file")

    if refused:
        check_failed(body, "the disk was full (made so by this spec) when its file was written")
        assert file.status_code == 409, "the status of the file of a report that is not done"
    else:  # a report that is kept in memory or in the database needs no space on the disk
        assert body.get("status") == "done", (
            "the status of a report that writes no file must be `done`"
        )


async def test_a_report_that_fails_has_a_time_when_it_says_so(client, database, steps):
    """A status and its time are one thing: no client may see the one without the other."""
    database.fail_queries("orders")
    async with client.responded("POST", "/reports", json=JANUARY) as exchange:
        url = url_of(exchange.response)
        async for step in steps.of(exchange):
            body = await state_of(client, url)
            if body.get("status") == "failed":
                check_failed(body, f"its query failed (made so by this spec), just before {step}")
            else:
                assert body.get("status") in ("queued", "running"), (
                    f"the status of a report that is about to fail, just before {step}"
                )

    check_failed(await state_of(client, url), "its query failed (made so by this spec)")


def check_failed(body, why):
    assert body.get("status") == "failed", f"the status of a report where {why}"
    assert isinstance(time_of(body.get("finished_at")), datetime), (
        "a report that failed has finished: finished_at must be ISO 8601 with an offset, "
        f"and the body is {body}"
    )


async def test_a_failure_is_logged_on_the_logger_kata_or_not_at_all(client, database, logs):
    """People look for the reason of a failure on that logger. (Nothing has to be logged here.)"""
    logs.listen_to_all()
    database.fail_queries("orders")

    await finished(client)

    assert logs.elsewhere == [], (
        'your code must log with logging.getLogger("kata"), and it logged on another logger'
    )
    assert logs.failures or logs.too_low == [], (
        "a failure that is logged must be logged as WARNING or above"
    )


async def test_a_report_is_done_when_its_file_is_whole_and_not_before(
    client, database, steps, timeline
):
    """Half a report looks like a bad month. Here a client asks before each step of the task."""
    long = "a long name of an article " * 8  # so that the file is written in more than one piece
    database.insert("orders", *(sold(f"sku {number:02}: {long}") for number in range(60)))
    async with client.responded("POST", "/reports", json=JANUARY) as exchange:
        url = url_of(exchange.response)
        async for step in steps.of(exchange):
            state = (await client.begin("GET", url).until_responded()).response
            other = client.begin("GET", f"{url}/file", crashes=True)
            file = (await other.until_responded()).response
            check_step(state.json(), file, step, timeline)

    assert len(await rows_of(client, url)) == 63, "the lines of the file when it is done"


def check_step(body, file, step, timeline):
    if body.get("status") == "done":
        served = (
            f"{len(rows_in(file))} lines" if file.status_code == 200 else f"a {file.status_code}"
        )
        assert served == "63 lines", (
            f"the report says `done` just before {step}, and its file is not whole yet: "
            "what GET /reports/{id}/file responds"
        )
        return
    assert file.status_code == 409, f"the status of the file while it is made, just before {step}"
    made = timeline.of("query orders") != []
    assert body.get("status") in (["running"] if made else ["queued", "running"]), (
        f"the status of a report that is being made, just before {step}"
    )
    assert body.get("finished_at") is None, (
        f"a report that runs has not finished, just before {step}: null"
    )


MONTHS = ["2026-01", "2026-09", "2026-10", "2026-11", "2026-12", "1999-02", "2100-08"]
NO_MONTHS = [
    "2026-13",
    "2026-00",
    "2026-99",
    "2026-1",
    "202601",
    "26-01",
    "12026-01",
    "2026-01-01",
    "01-2026",
    "2026/01",
    "2026_01",
    "2026 01",
    "2026--1",
    "2026-+1",
    "2026- 1",
    " 2026-01",
    "2026-01 ",
    "2026-01\n",
    "\u0662\u0660\u0662\u0666-\u0660\u0661",
    "\u0662\u0660\u0662\u0666-01",
    "2026-0\u0661",
    "2026\u221201",
    "",
    None,
]


async def test_a_month_that_is_not_yyyy_mm_is_refused(client, database, disk, timeline):
    """A request that is refused must not leave a report. (Some of these have digits of other alphabets.)"""
    before = contents_of(database), disk.files()
    responses = {month: await client.post("/reports", json={"month": month}) for month in NO_MONTHS}

    accepted = {
        month: response.status_code
        for month, response in responses.items()
        if int(response.status_code) != 422
    }
    assert accepted == {}, "the statuses of what is not YYYY-MM, and must be a 422"
    for month, response in responses.items():
        assert "detail" in response.json(), (
            f"FastAPI's usual {{'detail': ...}} for {month!r}, and the body is {response.json()}"
        )
    assert timeline.of("query orders") == [], "no report may be made of it"
    assert (contents_of(database), disk.files()) == before, "nothing may be stored of it"


async def test_every_month_is_accepted(client):
    """From 01 to 12, in any year."""
    statuses = {}
    for month in MONTHS:
        statuses[month] = (await client.post("/reports", json={"month": month})).status_code

    refused = {month: status for month, status in statuses.items() if status != 202}
    assert refused == {}, "the statuses of what is a month, and must be a 202"


def contents_of(database):
    """The rows of all tables."""
    tables = database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return {name: database.rows(f'SELECT * FROM "{name}"') for (name,) in tables}


async def test_an_unknown_report_is_not_found(client):
    """A client that mistypes an id must not wait for ever."""
    known = await finished(client)
    unknown = known[:-1] + ("1" if known.endswith("0") else "0")
    urls = (known, unknown, f"{unknown}/file")
    responses = [await client.get(url) for url in urls]

    assert [response.status_code for response in responses] == [200, 404, 404], (
        "the statuses of a known report, an unknown one, and its file"
    )
    for response in responses[1:]:
        assert "detail" in response.json(), (
            f"FastAPI's usual {{'detail': ...}} with a 404, and the body is {response.content!r}"
        )


async def test_reports_in_flight_do_not_mix(client, database):
    """Requests overlap on any real server: nothing may be shared between them."""
    database.insert("orders", sold("cocoa", at="2026-02-10T12:00:00+00:00"))
    async with client.in_flight("POST", "/reports", json=JANUARY) as january:
        with database.hold_queries("orders") as slow_query:
            await january.until_responded()
            january_url = url_of(january.response)
            await slow_query.until_reached()
            february = client.begin("POST", "/reports", json={"month": "2026-02"})
            await february.until_responded()
            february_url = url_of(february.response)
            await client.finish_what_can([january, february])
            states = [await status_of(client, url) for url in (january_url, february_url)]

    assert january_url != february_url, "each report must have an id of its own"
    assert states[0] == "running", "the status of January, which was held up"
    assert states[1] in ("queued", "running", "done"), (
        "the status of February, which was requested meanwhile: it may be made at the same time as "
        f"January, or wait for its turn, and it is {states[1]!r}"
    )
    assert await skus_of(client, january_url) == ["jam", "tea"], "the skus of January"
    assert await skus_of(client, february_url) == ["cocoa"], "the skus of February"


async def test_two_reports_of_one_month_are_two(client, clock, database):
    """The second may differ: orders come in all the time, even at one moment."""
    async with client.responded("POST", "/reports", json=JANUARY) as exchange:
        meanwhile = await client.begin("POST", "/reports", json=JANUARY).until_responded()
        assert url_of(meanwhile.response) != url_of(exchange.response), (
            "each report must have an id of its own, also while another one of that month waits"
        )
    await client.finish([meanwhile])
    first = url_of(exchange.response)
    database.insert("orders", sold("cocoa"))
    second = await finished(client)

    assert first != second, "each report must have an id of its own, also at one moment"
    assert len(await rows_of(client, first)) == 3, "the first report stays as it was"
    assert len(await rows_of(client, second)) == 4, "the second report has the new order"


async def test_a_report_does_not_hold_up_the_event_loop(client, timeline):
    """A query and a file are work that blocks."""
    url = await finished(client)

    assert await status_of(client, url) == "done", "the report's status must be `done`"
    assert timeline.blocked() == [], (
        "work was done on the event loop's thread: let a `def` task do it, "
        "or `await run_in_threadpool(...)`"
    )

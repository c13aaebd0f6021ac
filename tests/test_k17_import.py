"""An import that can be followed, and stopped."""

import re
from urllib.parse import urlsplit

import pytest

BATCH = 10
STOCK = "SELECT sku, quantity FROM inventory ORDER BY sku"
COUNT = "SELECT count(*) FROM inventory"
ENDED = ("done", "failed", "cancelled")
FIELDS = {"import_id", "status", "done", "total", "error"}


def uploaded(content, name="stock.csv"):
    content = content if isinstance(content, bytes) else content.encode()
    return {"files": {"file": (name, content, "text/csv")}}


def lines_of(count, start=0):
    return [f"sku-{number:03},{number}" for number in range(start, start + count)]


def stock_of(count):
    return [(f"sku-{number:03}", number) for number in range(count)]


def csv_of(lines, header="sku,quantity", end="\n"):
    return "".join(f"{line}{end}" for line in [header, *lines])


@pytest.fixture(autouse=True)
def stock(kata, database):
    """The database is there."""


def url_of(response):
    """The address of an import that was accepted."""
    assert response.status_code == 202, "the status of POST /imports must be 202"
    return f"/imports/{response.field('import_id')}"


def state_in(response, status=200):
    assert response.status_code == status, "the status of GET (200) or DELETE (202) /imports/{id}"
    body = response.json()
    missing = sorted(FIELDS.difference(body or ()))
    assert missing == [], f"each of these must be there, also where it is null; the body is {body}"
    return body


async def state_of(client, url):
    """The state of an import, as GET shows it."""
    exchange = await client.begin("GET", url).until_responded()
    return state_in(exchange.response)


async def cancel(client, url):
    """DELETE an import, at once; the response."""
    return (await client.begin("DELETE", url).until_responded()).response


async def imported(client, content):
    """Import a file to its end; its state."""
    response = await client.post("/imports", **uploaded(content))
    return await state_of(client, url_of(response))


def names_line(state, number):
    return re.search(rf"(?<!\d){number}(?!\d)", str(state["error"])) is not None


def brief(state):
    return state["status"], state["done"], state["total"]


async def test_the_client_is_told_where_to_look(client):
    """Accepted is not done: the client gets an address to come back to."""
    responses = [await client.post("/imports", **uploaded(csv_of(lines_of(1)))) for _ in range(2)]

    urls = [url_of(response) for response in responses]
    assert len(set(urls)) == 2, f"each import must have an id of its own: {urls}"
    assert [
        urlsplit(response.headers.get("location", "")).path for response in responses
    ] == urls, "the header Location must be /imports/{id}"
    state = await state_of(client, urls[0])
    assert f"/imports/{state['import_id']}" == urls[0], "the id must be the one in its address"


async def test_the_rows_are_in_the_inventory_when_it_is_done(client, database):
    """A whole number of batches, one row more, one less, a single row."""
    for count in (1, 9, 10, 11, 20, 25):
        database.delete("inventory")
        state = await imported(client, csv_of(lines_of(count)))

        assert (*brief(state), state["error"]) == ("done", count, count, None), (
            f"(status, done, total, error) of an import of {count} rows"
        )
        assert database.rows(STOCK) == stock_of(count), f"the inventory after {count} rows"


async def test_a_sku_that_is_there_is_replaced(client, database):
    """The file says what there is now."""
    database.insert("inventory", {"sku": "tea", "quantity": 10}, {"sku": "ink", "quantity": 3})
    state = await imported(client, csv_of(["tea,7", "jam,0", "jam,4"]))

    assert database.rows(STOCK) == [("ink", 3), ("jam", 4), ("tea", 7)], (
        "the inventory: `tea` was there with 10, `ink` is not in the file, and `jam` is in it twice, "
        "with 0 and then with 4"
    )
    assert state["status"] == "done", "the status in the end"


async def test_nothing_is_imported_before_the_response(client, database, timeline):
    """The client must not wait for a file of a million lines."""
    async with client.responded("POST", "/imports", **uploaded(csv_of(lines_of(25)))) as exchange:
        early = database.rows(COUNT)
        state = await state_of(client, url_of(exchange.response))

    assert early == [(0,)], "how many rows are committed at the moment of the response"
    assert (state["status"], state["done"], state["error"]) == ("queued", 0, None), (
        "(status, done, error) between the response and the task"
    )
    assert timeline.order("response", "commit inventory") == ["response", "commit inventory"]


async def test_it_is_committed_in_batches_and_seen_to_grow(client, database, steps):
    """A client that waits wants to see that it goes on."""
    content = uploaded(csv_of(lines_of(25)))
    seen = []
    async with client.responded("POST", "/imports", **content) as exchange:
        url = url_of(exchange.response)
        async for _ in steps.of(exchange, changes="inventory"):
            seen.append((database.rows(COUNT)[0][0], *brief(await state_of(client, url))))

    assert sorted({rows for rows, *_ in seen}) == [0, 10, 20], (
        "how many rows another connection sees while 25 are imported, just before each change of "
        f"`inventory`: batches of {BATCH}"
    )
    assert {status for _, status, *_ in seen} == {"running"}, "the status meanwhile"
    assert {total for *_, total in seen} == {25}, "`total` is known from `running` on"
    wrong = [(rows, done) for rows, _, done, _ in seen if rows != done]
    assert wrong == [], "`done` is the number of rows committed: (rows, done) where they differ"
    state = await state_of(client, url)
    assert brief(state) == ("done", 25, 25), "(status, done, total) in the end"


async def test_a_client_that_stops_it_keeps_what_was_committed(client, database):
    """The wrong file was chosen, and the rest of it must not be imported."""
    async with client.in_flight("POST", "/imports", **uploaded(csv_of(lines_of(45)))) as exchange:
        with database.hold_changes("inventory") as first_batch:
            await exchange.until_responded()
            url = url_of(exchange.response)
            await first_batch.until_reached()
            if database.is_locked():
                return  # The state is stored together with the batch, and the client has to wait.
            response = await cancel(client, url)
            meanwhile = await state_of(client, url)
            again = await cancel(client, url)
    state = await state_of(client, url)
    rows = database.rows(COUNT)[0][0]

    assert state_in(response, 202)["status"] == "cancelling", "what DELETE says while it runs"
    assert meanwhile["status"] == "cancelling", "what GET says until the task has ended"
    assert state_in(again, 202)["status"] == "cancelling", "what a second DELETE says"
    assert rows in (0, BATCH), (
        f"how many rows are committed: the first batch of {BATCH} was under way when the client stopped "
        "it, and no other one had begun"
    )
    assert (*brief(state), state["error"]) == ("cancelled", rows, 45, None), (
        "(status, done, total, error) in the end"
    )
    assert database.rows(STOCK) == stock_of(rows), "what was committed stays"


async def test_a_later_batch_can_be_the_last_one(client, database, steps):
    """What was committed before stays, and `done` says how much it is."""
    content = uploaded(csv_of(lines_of(45)))
    responses: list[object] = []
    async with client.responded("POST", "/imports", **content) as exchange:
        url = url_of(exchange.response)
        async for _ in steps.of(exchange):
            if responses or database.rows(COUNT) != [(2 * BATCH,)] or database.is_locked():
                continue
            responses.append(await cancel(client, url))
    state = await state_of(client, url)
    rows = database.rows(COUNT)[0][0]

    assert len(responses) == 1, f"there must be a moment with {2 * BATCH} rows: it is {state}"
    assert rows in (2 * BATCH, 3 * BATCH), (
        "how many rows are committed: two batches were, and the third one was under way, when the "
        "client stopped it"
    )
    assert brief(state) == ("cancelled", rows, 45), "(status, done, total) in the end"


async def test_stopped_in_its_last_batch_it_is_cancelled(client, database):
    """Who was told `cancelling` must not read `done`."""
    async with client.in_flight("POST", "/imports", **uploaded(csv_of(lines_of(5)))) as exchange:
        with database.hold_changes("inventory") as batch:
            await exchange.until_responded()
            url = url_of(exchange.response)
            await batch.until_reached()
            if database.is_locked():
                return  # The state is stored together with the batch, and the client has to wait.
            response = await cancel(client, url)
    state = await state_of(client, url)
    rows = database.rows(COUNT)[0][0]

    assert state_in(response, 202)["status"] == "cancelling", "what DELETE says while it runs"
    assert rows in (0, 5), "how many rows are committed: all five of the only batch, or none"
    assert brief(state) == ("cancelled", rows, 5), "(status, done, total) in the end"


async def test_stopped_while_it_is_queued_it_imports_nothing(client, database):
    """It had not even begun."""
    async with client.responded("POST", "/imports", **uploaded(csv_of(lines_of(25)))) as exchange:
        url = url_of(exchange.response)
        response = await cancel(client, url)
    state = await state_of(client, url)

    assert state_in(response, 202)["status"] in ("cancelling", "cancelled"), "what DELETE says"
    assert (state["status"], state["done"]) == ("cancelled", 0), "(status, done) in the end"
    assert database.rows(COUNT) == [(0,)], "how many rows are committed"


async def test_what_has_ended_cannot_be_stopped(client, database):
    """There is nothing left to stop, and the client is told so."""
    files = [csv_of(lines_of(3)), csv_of(["tea,none"])]
    urls = [url_of(await client.post("/imports", **uploaded(content))) for content in files]
    async with client.responded("POST", "/imports", **uploaded(csv_of(lines_of(3)))) as exchange:
        urls.append(url_of(exchange.response))
        await cancel(client, urls[-1])
    before = [await state_of(client, url) for url in urls]
    responses = [await client.request("DELETE", url) for url in urls]
    after = [await state_of(client, url) for url in urls]

    assert [state["status"] for state in before] == ["done", "failed", "cancelled"], "the statuses"
    assert [int(response.status_code) for response in responses] == [409, 409, 409], (
        "the statuses of DELETE of imports that are done, failed and cancelled"
    )
    assert ["detail" in response.json() for response in responses] == [True] * 3, (
        "a refusal has FastAPI's usual body, {'detail': ...}"
    )
    assert after == before, "the imports are as they were"


async def test_an_unknown_import_is_a_404(client):
    """There is nothing to follow or to stop."""
    url = url_of(await client.post("/imports", **uploaded(csv_of(lines_of(1)))))
    unknown = [await client.request(method, f"{url}0") for method in ("GET", "DELETE")]

    assert [int(response.status_code) for response in unknown] == [404, 404], (
        "the statuses of GET and DELETE of an id that nobody was given"
    )
    assert ["detail" in response.json() for response in unknown] == [True, True], (
        "a refusal has FastAPI's usual body, {'detail': ...}"
    )


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("tea,-1", id="negative"),
        pytest.param("tea,2.5", id="decimals"),
        pytest.param("tea,ten", id="a word"),
        pytest.param("tea,1e2", id="an exponent"),
        pytest.param("tea,\u00b2", id="a superscript"),
        pytest.param("tea,", id="empty"),
        pytest.param("tea", id="no quantity"),
        pytest.param(",5", id="empty sku"),
    ],
)
async def test_a_line_that_makes_no_sense_ends_it(client, database, line):
    """The person who sent the file wants to know where to look."""
    lines = lines_of(25)
    lines[13] = line
    state = await imported(client, csv_of(lines))

    assert brief(state) == ("failed", BATCH, 25), (
        f"(status, done, total) of an import whose line 15 is {line!r}: the batch before its own stays"
    )
    assert names_line(state, 15), (
        f"`error` must name the line, counted from the header, which is line 1: {state['error']!r}"
    )
    assert database.rows(STOCK) == stock_of(BATCH), (
        f"the inventory: the first batch of {BATCH} stays, the one with the bad line does not"
    )


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        pytest.param(0, 0, id="the first"),
        pytest.param(9, 0, id="the last of the first batch"),
        pytest.param(10, 10, id="the first of the second batch"),
        pytest.param(24, 20, id="the last"),
    ],
)
async def test_the_batch_of_a_bad_line_is_not_committed(client, database, place, kept):
    """A batch is stored as a whole or not at all."""
    lines = lines_of(25)
    lines[place] = "tea,none"
    state = await imported(client, csv_of(lines))

    assert (state["status"], state["done"]) == ("failed", kept), (
        f"(status, done) of an import whose line {place + 2} is wrong"
    )
    assert names_line(state, place + 2), f"`error` must name line {place + 2}: {state['error']!r}"
    assert database.rows(STOCK) == stock_of(kept), f"the inventory: {kept} rows"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(csv_of(lines_of(15)).partition("\n")[2], id="no header"),
        pytest.param("", id="an empty file"),
        pytest.param(csv_of(lines_of(15), header="quantity,sku"), id="another header"),
        pytest.param(csv_of([*lines_of(15), "caf\u00e9,1"]).encode("latin-1"), id="Latin-1"),
        pytest.param(b"\xff\xfe" + csv_of(lines_of(15)).encode("utf-16-le"), id="UTF-16"),
        pytest.param(csv_of(lines_of(15)).encode() + b"\xc3,1\n", id="half a character"),
        pytest.param(csv_of(lines_of(1500)).encode() + b"\xc3,1\n", id="half one, far behind"),
    ],
)
async def test_a_file_of_another_kind_is_a_failed_import(client, database, content):
    """Nothing of it is stored, however late the fault is found."""
    state = await imported(client, content)

    assert (state["status"], state["done"]) == ("failed", 0), "(status, done) in the end"
    assert isinstance(state["error"], str), f"`error` must be a text: {state['error']!r}"
    assert database.rows(COUNT) == [(0,)], "how many rows are committed"


async def test_a_file_with_only_a_header_is_done(client, database):
    """There is nothing to do, and nothing is wrong with that."""
    states = [await imported(client, content) for content in ("sku,quantity\n", "sku,quantity")]

    assert [(*brief(state), state["error"]) for state in states] == [("done", 0, 0, None)] * 2, (
        "(status, done, total, error), with a line end behind the header and without one"
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbf" + csv_of(["tea,1", "jam,2"]).encode(), id="a mark"),
        pytest.param(csv_of(["tea,1", "jam,2"], end="\r\n"), id="line ends of Windows"),
        pytest.param(csv_of(["tea,1", "jam,2"])[:-1], id="no line end at the end"),
        pytest.param(csv_of(['"tea",1', 'jam,"2"']), id="quotes"),
    ],
)
async def test_files_of_other_programs_are_no_fault(client, database, content):
    """Spreadsheets write what they like."""
    state = await imported(client, content)

    assert brief(state) == ("done", 2, 2), "(status, done, total)"
    assert database.rows(STOCK) == [("jam", 2), ("tea", 1)], "the inventory"


async def test_a_sku_may_have_any_letters(client, database):
    """The file is UTF-8, and CSV has quotes."""
    state = await imported(client, csv_of(['"tea, green",1', "陽子,2", "zoë,3"]))

    assert state["status"] == "done", f"the status; the error is {state['error']!r}"
    assert sorted(database.rows(STOCK)) == [("tea, green", 1), ("zoë", 3), ("陽子", 2)], "the rows"


@pytest.mark.parametrize("after", [pytest.param(0, id="at once"), pytest.param(1, id="later")])
async def test_a_database_in_trouble_ends_it(client, database, after):
    """`running` for ever is what the client cannot tell from a long file."""
    async with client.responded(
        "POST", "/imports", crashes=True, **uploaded(csv_of(lines_of(25)))
    ) as exchange:
        url = url_of(exchange.response)
        database.fail_changes("inventory", after=after)
    database.heal()
    state = await state_of(client, url)
    rows = database.rows(COUNT)[0][0]

    assert (state["status"], state["done"]) == ("failed", rows), (
        "(status, done) of an import whose rows, from some of them on, could not be stored"
    )
    assert isinstance(state["error"], str), f"`error` must be a text: {state['error']!r}"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(f"tea,{'9' * 30}", id="a quantity of thirty digits"),
        pytest.param(f"{'tea' * 60_000},1", id="a sku of 180,000 letters"),
    ],
)
async def test_it_ends_whatever_is_in_the_file(client, line):
    """Databases and readers of CSV have limits, with errors of their own."""
    response = await client.post("/imports", crashes=True, **uploaded(csv_of([line])))
    state = await state_of(client, url_of(response))

    assert state["status"] in ("done", "failed"), (
        "the status when the task has ended: `OverflowError` and `csv.Error` are neither a ValueError "
        "nor an error of SQLAlchemy's"
    )


async def test_imports_at_the_same_time_are_each_their_own(client, database):
    """One is stopped, one has a bad line, and one is done."""
    names = ["first", "second", "third"]
    files = [csv_of([f"{name}-{number:02},{number}" for number in range(15)]) for name in names]
    files[1] += "second-99,none\n"
    exchanges = await client.all_responded(
        client.begin("POST", "/imports", stop_at_response=True, **uploaded(content))
        for content in files
    )
    urls = [url_of(exchange.response) for exchange in exchanges]
    await cancel(client, urls[0])
    for exchange in reversed(exchanges):
        exchange.release()
    await client.finish(exchanges)
    states = [await state_of(client, url) for url in urls]

    assert [(state["status"], state["done"]) for state in states] == [
        ("cancelled", 0),
        ("failed", 10),
        ("done", 15),
    ], "(status, done) of three imports: one stopped, one with a bad line, one good"
    assert [state["import_id"] for state in states] == [url[len("/imports/") :] for url in urls]
    counts = [
        database.rows("SELECT count(*) FROM inventory WHERE sku LIKE ?", f"{name}-%")[0][0]
        for name in names
    ]
    assert counts == [0, 10, 15], "how many rows of each are committed"


async def test_one_import_does_not_hold_up_the_others_responses(client, database, timeline):
    """The work is off the event loop, and who asks is told at once."""
    async with client.in_flight("POST", "/imports", **uploaded(csv_of(lines_of(25)))) as exchange:
        with database.hold_changes("inventory") as slow_batch:
            await exchange.until_responded()
            await slow_batch.until_reached()
            other = client.begin("POST", "/imports", **uploaded(csv_of(lines_of(1, start=90))))
            if not database.is_locked():  # else who stores an import has to wait for the batch
                await other.until_responded()
            state = await state_of(client, url_of(exchange.response))
    await client.finish([other])

    assert other.response.status_code == 202, "the status of another import meanwhile"
    assert state["status"] == "running", "the status of the first one meanwhile"
    assert timeline.blocked() == [], (
        "an import used the database or a file on the event loop's thread, where every other request has "
        "to wait for it: a `def` task runs in a worker thread"
    )
    assert len(database.rows(STOCK)) == 26, "in the end both are done"

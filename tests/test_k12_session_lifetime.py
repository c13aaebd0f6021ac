"""An article and its summary: a session of one's own, for no longer than it is needed."""

import httpx
import pytest

from dojo.doubles.http import broken_body, silence, timeout, unreachable

AI = "https://ai-api.example.com/summarise"
ARTICLES = "SELECT id, title, body FROM articles ORDER BY id"
SUMMARIES = "SELECT article_id, summary FROM summaries ORDER BY article_id"
TEA = {"title": "Tea", "body": "Water, leaves and time."}
SHORT = "Leaves in water."


def summary(text=SHORT, status=200):
    return httpx.Response(status, json={"summary": text})


@pytest.fixture(autouse=True)
def service(kata, database, services):
    return services.on("POST", AI).replies_with(summary())


async def test_the_client_gets_the_number_of_the_article(client):
    """The number is what the article is asked for by."""
    responses = [await client.post("/articles", json=TEA) for _ in range(2)]

    assert [response.status_code for response in responses] == [201, 201], "both statuses"
    assert [response.json() for response in responses] == [{"article_id": 1}, {"article_id": 2}], (
        "the responses' bodies must be this JSON"
    )


async def test_the_article_is_committed_before_the_response(client, database):
    """A dependency that commits after its `yield` does so when the task has ended: too late."""
    async with client.responded("POST", "/articles", json=TEA) as exchange:
        number = exchange.response.field("article_id")

        assert database.rows(ARTICLES) == [(number, "Tea", "Water, leaves and time.")], (
            "at the moment of the response the article must be committed: another connection does "
            "not see it"
        )


async def test_the_service_is_called_only_after_the_response(client, timeline):
    """The client must not wait for a machine that thinks."""
    await client.post("/articles", json=TEA)

    assert timeline.order("response", "call") == ["response", "call"]


async def test_the_service_gets_the_text_and_its_summary_is_stored(client, database, service):
    """The body goes there, and what comes back belongs to this article."""
    bodies = [
        "Water, leaves and time.",
        'Ünïcode, "quotes"\nand a second line',
        "x" * 10_000,
        "  indented\n\n",
    ]
    texts = ["Number 1", "  Nümber 2 \n", "x" * 10_000, "Number 4"]
    service.replies_with(*(summary(text) for text in texts))
    for body in bodies:
        await client.post("/articles", json={"title": "Tea", "body": body})

    assert [call.json for call in service.calls] == [{"text": body} for body in bodies], (
        f"the JSON bodies of all calls of POST {AI}"
    )
    assert database.rows(SUMMARIES) == list(enumerate(texts, 1)), (
        "the rows of `summaries`: (article_id, summary). What comes back is stored as it is"
    )


@pytest.mark.parametrize("status", [201, 202, 299])
async def test_any_2xx_of_the_service_is_good(client, database, service, status):
    """Every status from 200 to 299 comes with a summary."""
    service.replies_with(summary(status=status))

    await client.post("/articles", json=TEA)

    assert database.rows(SUMMARIES) == [(1, SHORT)], f"the service responded {status}: the rows"


async def test_a_reader_sees_the_article_and_then_its_summary(client, database):
    """The article is there at once, and its summary when the service has made it."""
    rows = [
        {"title": "Milk", "body": "White.", "id": 5},
        {"title": "Jam", "body": "Fruit.", "id": 7},
    ]
    database.insert("articles", *rows)
    database.insert("summaries", {"article_id": 7, "summary": "about jam"})
    async with client.responded("POST", "/articles", json=TEA) as exchange:
        url = f"/articles/{exchange.response.field('article_id')}"
        before = [await client.get(each) for each in (url, "/articles/5", "/articles/7")]
    after = await client.get(url)

    assert [response.status_code for response in (*before, after)] == [200] * 4, "the statuses"
    assert [response.json() for response in before] == [
        {**TEA, "summary": None},
        {"title": "Milk", "body": "White.", "summary": None},
        {"title": "Jam", "body": "Fruit.", "summary": "about jam"},
    ], "the bodies before there is a summary, of an article without one, and of an article with one"
    assert after.json() == {**TEA, "summary": SHORT}, "the body when all has finished"


async def test_an_unknown_article_is_a_404(client):
    """There is nothing to read, and the client is told so."""
    await client.post("/articles", json=TEA)
    unknown, known = await client.get("/articles/2"), await client.get("/articles/1")

    assert (unknown.status_code, known.status_code) == (404, 200), (
        "the statuses of an article that is not there, and of one that is"
    )
    assert "detail" in unknown.json(), "a refusal has FastAPI's usual body, {'detail': ...}"


async def test_from_the_response_on_the_request_holds_no_connection(kata, client):
    """The pool has two connections: one that is kept until the task has ended is missing
    elsewhere."""
    first = client.begin("POST", "/articles", json=TEA, stop_at_response=True)
    await first.until_responded()
    assert kata.engine.pool.checkedout() == 0, (
        "the connections that are out of the pool when a request has its response and no task has "
        "begun. A session of `Depends(get_session)` is closed only after the task; "
        'scope="function" closes it before the response'
    )
    others = [
        await client.begin("POST", "/articles", json=TEA, stop_at_response=True).until_responded()
        for _ in range(3)
    ]
    statuses = [exchange.response.status_code for exchange in others]
    out = kata.engine.pool.checkedout()
    await client.finish([first, *others])

    assert statuses == [201, 201, 201], "the statuses of three more requests"
    assert out == 0, "the connections that are out while four requests stand at their response"


async def test_a_task_that_waits_for_the_service_holds_no_connection(
    kata, client, database, service, timeline
):
    """A connection that waits for somebody else's machine serves nobody."""

    def none_is_out():
        return kata.engine.pool.checkedout() == 0

    with service.hold(limit=100) as thinking:
        first = await client.begin("POST", "/articles", json=TEA).until_responded()
        await thinking.until_reached()
        assert await client.until(none_is_out), (
            f"an article waits for the service, and {kata.engine.pool.checkedout()} connection(s) are "
            "out of the pool: close the session before the call, and open another one after it"
        )
        exchanges = [client.begin("POST", "/articles", json=TEA) for _ in range(4)]
        await client.all_responded(exchanges)
        await client.give_turns()
        assert await client.until(none_is_out), (
            f"five articles wait for the service, and {kata.engine.pool.checkedout()} connection(s) "
            "are out of the pool"
        )
        read = await client.begin("GET", "/articles/1").until_responded()
        more = await client.begin("POST", "/articles", json=TEA).until_responded()
    await client.finish([first, *exchanges, more])

    assert (read.response.status_code, more.response.status_code) == (200, 201), (
        "the statuses of a GET and a POST while five articles wait for the service"
    )
    assert len(database.rows(SUMMARIES)) == 6, "in the end each of the six has its summary"
    assert database.pools() == 1, (
        "the pools that connections were taken from: the database is used through the `engine` that the "
        "stub gives. The connections of a second engine are held as long, and nobody counts them"
    )
    assert timeline.blocked() == [], "nothing may block the event loop in a task"


@pytest.mark.parametrize(
    "reply",
    [
        *(pytest.param(summary(status=status), id=str(status)) for status in (300, 404, 429, 500)),
        pytest.param(unreachable, id="not reachable"),
        pytest.param(silence, id="no response in time"),
        pytest.param(timeout("connect"), id="no connection in time"),
        pytest.param(broken_body(200), id="broken off"),
        pytest.param(httpx.Response(200, text="<html>Welcome!"), id="no JSON"),
        pytest.param(httpx.Response(200, json={"text": SHORT}), id="no summary"),
        pytest.param(httpx.Response(200, json={"summary": None}), id="summary null"),
        pytest.param(httpx.Response(200, json={"summary": 7}), id="summary a number"),
        pytest.param(httpx.Response(200, json={"summary": [SHORT]}), id="summary a list"),
        pytest.param(httpx.Response(200, json=[SHORT]), id="a list"),
        pytest.param(httpx.Response(200, json="summary"), id="a text"),
    ],
)
async def test_a_service_in_trouble_leaves_no_summary(
    kata, client, database, logs, service, timeline, reply
):
    """Services fail every day. The article stays, the log says so, and nothing else breaks."""
    service.replies_with(reply)

    response = await client.post("/articles", json=TEA)

    assert response.status_code == 201, "the client has its response all the same"
    assert response.exchange.raised is None, (
        f"no exception may escape the task, and this one did: {response.exchange.raised!r}"
    )
    assert not service.endless, "the call has no time limit: with `timeout=None` it waits for ever"
    assert (len(database.rows(ARTICLES)), database.rows(SUMMARIES)) == (1, []), (
        "how many articles there are, and the summaries: none"
    )
    assert logs.failures, "the failure must be logged to the logger `kata`, as WARNING or above"
    assert kata.engine.pool.checkedout() == 0, "no connection may be out when all has finished"
    assert timeline.blocked() == [], "a failure must not block the event loop either"


async def test_a_database_in_trouble_leaves_no_summary(kata, client, database, logs, timeline):
    """The database can fail after the service has responded."""
    database.fail_changes("summaries")
    response = await client.post("/articles", json=TEA)
    database.heal()
    read = await client.get("/articles/1")

    assert response.status_code == 201, "the client has its response all the same"
    assert response.exchange.raised is None, (
        f"no exception may escape the task, and this one did: {response.exchange.raised!r}"
    )
    assert read.json() == {**TEA, "summary": None}, "the article stays, without a summary"
    assert logs.failures, "the failure must be logged to the logger `kata`, as WARNING or above"
    assert kata.engine.pool.checkedout() == 0, "no connection may be out when all has finished"
    assert timeline.blocked() == [], "a failure must not block the event loop either"


async def test_a_query_that_fails_in_the_task_is_logged(kata, client, database, logs, timeline):
    """Whoever reads the article again reads from a database that can fail."""
    async with client.responded("POST", "/articles", json=TEA) as exchange:
        database.fail_queries("articles")
    database.heal()

    assert exchange.raised is None, (
        f"no exception may escape the task, and this one did: {exchange.raised!r}"
    )
    assert database.rows(SUMMARIES) or logs.failures, (
        "there is no summary, so the failure must be logged to `kata`, as WARNING or above"
    )
    assert kata.engine.pool.checkedout() == 0, "no connection may be out when all has finished"
    assert timeline.blocked() == [], "a failure must not block the event loop either"


async def test_an_article_deleted_meanwhile_gets_no_summary(kata, client, database, service):
    """What was there before the call need not be there after it."""
    async with client.in_flight("POST", "/articles", json=TEA) as exchange:
        with service.hold() as thinking:
            await exchange.until_responded()
            await thinking.until_reached()
            await client.until(lambda: kata.engine.pool.checkedout() == 0)
            database.delete("articles")

    assert exchange.raised is None, (
        f"no exception may escape the task, and this one did: {exchange.raised!r}"
    )
    assert database.rows(SUMMARIES) == [], (
        "the article was deleted before the service responded, so there is nothing to summarise"
    )
    assert kata.engine.pool.checkedout() == 0, "no connection may be out when all has finished"


async def test_no_connection_is_left_out_whatever_happens(kata, client, database):
    """A connection that is lost now and then is an outage in a week."""
    for _ in range(3):
        await client.post("/articles", json=TEA)
        await client.get("/articles/1")
        await client.get("/articles/99")
        await client.post("/articles", json={"title": "", "body": "No title."})
    database.fail_changes("articles")
    broken = await client.post("/articles", json=TEA, crashes=True)
    database.heal()
    out = kata.engine.pool.checkedout()
    good = await client.post("/articles", json=TEA)

    assert out == 0, (
        "the connections that are out of the pool when all has finished: articles stored, read, "
        "not found and refused, and one that could not be stored "
        f"({int(broken.status_code)})"
    )
    assert good.status_code == 201, "the status of one more article"


async def test_each_article_gets_its_own_summary(client, database, service):
    """Requests overlap on any real server: nothing may be shared between them."""
    service.replies_with(summary("about tea"), summary("about jam"))
    async with client.in_flight("POST", "/articles", json=TEA) as tea:
        with service.hold() as thinking:
            await tea.until_responded()
            await thinking.until_reached()
            jam = client.begin("POST", "/articles", json={"title": "Jam", "body": "Fruit."})
            await jam.until_responded()
            await client.finish_what_can([jam])

    numbers = [exchange.response.field("article_id") for exchange in (tea, jam)]
    assert database.rows(SUMMARIES) == sorted(
        zip(numbers, ["about tea", "about jam"], strict=True)
    ), "the service thought longer about tea than about jam: (article_id, summary)"


async def test_an_article_without_a_title_is_refused(client, database, service):
    """A request that is refused must not leave an article or a call."""
    refused = await client.post("/articles", json={"title": "", "body": "No title."})
    accepted = await client.post("/articles", json=TEA)

    assert (refused.status_code, accepted.status_code) == (422, 201), (
        "the statuses of a bad and a good article must be 422 and 201"
    )
    assert "detail" in refused.json(), "the refusal must have FastAPI's usual body, {'detail': ...}"
    assert [row[1] for row in database.rows(ARTICLES)] == ["Tea"], "only the good one is stored"
    assert len(service.calls) == 1, "only the good one is summarised"

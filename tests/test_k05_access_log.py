"""The line that is logged of each request, after its response."""

import errno
import json
from datetime import timedelta

import pytest

from dojo.specs import time_of

LOG = "access.jsonl"


def entries(disk):
    """The entries of the log; a line that is no JSON object is not one."""
    lines = disk.lines(LOG)
    try:
        found = [json.loads(line) for line in lines]
    except ValueError:
        raise AssertionError(f"each line must be JSON, and these are the lines: {lines}") from None
    for entry in found:
        assert isinstance(entry, dict), f"each line must be an object: {lines}"
    return found


def brief(disk):
    return [(e.get("method"), e.get("path"), e.get("status")) for e in entries(disk)]


async def test_a_response_leaves_one_line(client, disk):
    """People who run a server want to know what was asked, and what came of it."""
    response = await client.get("/items/3")

    assert (response.status_code, response.json()) == (200, {"id": 3}), (
        "the response stays what it was"
    )
    assert brief(disk) == [("GET", "/items/3", 200)], (
        f"(method, path, status) of the lines of {LOG}"
    )


async def test_the_line_is_written_only_after_the_response(client, disk, timeline):
    """Nobody should wait for a log."""
    async with client.responded("GET", "/items/3"):
        assert disk.lines(LOG) == [], timeline.early(
            "write", "the line was written before the response"
        )

    assert len(entries(disk)) == 1, "when the exchange has finished, the line must be there"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/items/12", 404, id="404 of the endpoint"),
        pytest.param("GET", "/items/many", 422, id="422"),
        pytest.param("GET", "/nowhere", 404, id="unknown path"),
        *(
            pytest.param(method, "/items/3", 405, id=f"method {method}")
            for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS")
        ),
        pytest.param("GET", "/items/3/", 307, id="a slash too many"),
        pytest.param("GET", "/openapi.json", 200, id="what FastAPI answers itself"),
    ],
)
async def test_every_response_counts(client, disk, method, path, status):
    """The requests that went wrong are the ones that people look for."""
    response = await client.request(method, path)

    assert response.status_code == status, "the response stays what it was"
    assert brief(disk) == [(method, path, status)], "(method, path, status) of the lines"


async def test_a_crash_counts_too_and_once(client, disk):
    """A task that a route has added is lost when the route raises: a log must not be."""
    response = await client.get("/crash", crashes=True)

    assert response.status_code == 500, "the response's status must be 500"
    assert brief(disk) == [("GET", "/crash", 500)], "(method, path, status) of the lines"


async def test_the_same_request_counts_each_time(client, disk):
    """Four hundred crashes in a night are four hundred lines."""
    for _ in range(3):
        await client.get("/items/3")
        await client.get("/crash", crashes=True)

    assert brief(disk) == [("GET", "/items/3", 200), ("GET", "/crash", 500)] * 3, (
        "(method, path, status) of the lines"
    )


async def test_a_response_in_pieces_counts_once_after_its_last_piece(client, disk, timeline):
    """A long response ends with its last byte, and not with its first."""
    client.add_route("/pieces", pieces=["one, ", "two"])

    async with client.responded("GET", "/pieces") as exchange:
        assert exchange.response.content == b"one, two", "the response stays what it was"
        assert disk.lines(LOG) == [], timeline.early(
            "write", "the line was written before the last byte of the response"
        )

    assert brief(disk) == [("GET", "/pieces", 200)], "(method, path, status) of the lines"


async def test_the_path_is_decoded_and_without_the_query(client, disk):
    """People search a log for the paths that they read, and queries may hold secrets."""
    urls = ["/items/3?token=secret", "/Caf%C3%A9%20au%20lait", "/50%2541?token=secret"]
    statuses = [(await client.get(url)).status_code for url in urls]

    assert statuses == [200, 404, 404], "the responses stay what they were"
    assert [entry.get("path") for entry in entries(disk)] == [
        "/items/3",
        "/Café au lait",
        "/50%41",
    ], "the paths that were logged: each decoded once, and without what stands behind the ?"


async def test_any_path_fits_on_one_line(client, disk):
    """Quotes in a path must not break the log for its readers."""
    response = await client.get("/%22a%22/b/%F0%9F%90%88")

    assert response.status_code == 404, "the response stays what it was"
    assert [entry.get("path") for entry in entries(disk)] == ['/"a"/b/🐈'], (
        "one request leaves one line, and that is JSON: the paths that were logged"
    )


async def test_the_time_is_when_the_request_arrived(client, clock, disk):
    """A slow request must be found where it began."""
    client.add_route("/slow", [("tick", 10)])

    arrived = clock.now
    async with client.responded("GET", "/slow"):
        clock.tick(20)

    assert [time_of(entry.get("time")) for entry in entries(disk)] == [arrived], (
        "the endpoint took 10 s and the response 20 s more; `time` must be ISO 8601 with an offset"
    )


async def test_each_request_in_flight_has_its_own_time(client, clock, disk):
    """Requests overlap on any real server: nothing may be shared between them."""
    client.add_route("/slow", [("wait for", "go")])

    start = clock.now
    async with client.in_flight("GET", "/slow"):
        await client.give_turns()
        clock.tick(10)
        async with client.responded("GET", "/items/1"):
            clock.tick(10)
            async with client.responded("GET", "/items/2"):
                clock.tick(10)
        client.let_go("go")

    assert sorted((entry.get("path"), time_of(entry.get("time"))) for entry in entries(disk)) == [
        ("/items/1", start + timedelta(seconds=10)),
        ("/items/2", start + timedelta(seconds=20)),
        ("/slow", start),
    ], (
        "(path, time) of three requests in flight together: /slow came first, and the others 10 s and 20 s after it"
    )


async def test_the_duration_is_in_milliseconds_and_without_the_tasks(client, clock, disk):
    """People find slow requests by sorting. The client does not wait for the tasks."""
    client.add_route("/slow", [("let pass", 2.5)], task=[("wait for", "go"), ("let pass", 60)])

    async with client.in_flight("GET", "/slow") as exchange:
        await exchange.until_responded()
        await client.give_turns()
        client.let_go("go")

    durations = [entry.get("duration_ms") for entry in entries(disk)]
    assert [type(duration) in (int, float) for duration in durations] == [True], (
        f"there must be one line, and its duration_ms must be a number: {durations!r}"
    )
    assert 2_499 <= durations[0] < 30_000, (
        f"the endpoint took 2.5 s and its task a minute, so duration_ms must be about 2500, and it is {durations[0]!r}"
    )


async def test_each_request_in_flight_has_its_own_duration(client, clock, disk):
    """A quick request beside a slow one is still a quick one, and the slow one a slow one."""
    client.add_route("/slow", [("wait for", "go")])

    async with client.in_flight("GET", "/slow"):
        await client.give_turns()
        clock.let_pass(600)
        await client.get("/items/3")
        client.let_go("go")

    durations = {entry.get("path"): entry.get("duration_ms") for entry in entries(disk)}
    assert set(durations) == {"/slow", "/items/3"}, "there must be a line for each request"
    assert durations["/items/3"] < 300_000 <= durations["/slow"], (
        f"/slow took 600 s, and /items/3 came and went at the end of these: their duration_ms are {durations}"
    )


async def test_a_task_that_fails_does_not_undo_the_line(client, disk):
    """The response was sent, whatever happens after it."""
    client.add_route("/fails", task=[("raise", "this task always fails")])

    response = await client.get("/fails", crashes=True)

    assert response.status_code == 200, "the response's status must be 200: only the task failed"
    assert brief(disk) == [("GET", "/fails", 200)], "(method, path, status) of the lines"


async def test_requests_in_flight_leave_whole_lines(client, disk):
    """A log that loses lines under load fails when it is needed."""
    with disk.hold(LOG), disk.hold(LOG, step=2):
        exchanges = await client.all_responded(
            client.begin("GET", f"/items/{number}", stop_at_response=True)
            for number in range(1, 10)
        )
        await client.finish_what_can(exchanges)
    await client.finish(exchanges)

    assert sorted(brief(disk)) == [("GET", f"/items/{number}", 200) for number in range(1, 10)], (
        "nine requests in flight together, one held just before it wrote: each must have its line, once"
    )


@pytest.mark.parametrize("path", ["/items/3", "/crash"])
async def test_logging_does_not_hold_up_the_event_loop(client, disk, timeline, path):
    """Middleware runs on the event loop: a slow disk would stop every other request."""
    await client.get(path, crashes=True)

    assert len(entries(disk)) == 1, "there must be one line"
    assert timeline.on_the_loop() == [], (
        "the log was written on the event loop's thread: use `await run_in_threadpool(...)`, "
        "or a `def` task"
    )


@pytest.mark.parametrize("path", ["/items/3", "/crash"])
async def test_the_exchange_ends_only_when_the_line_is_written(client, disk, path):
    """Work that nobody waits for is lost when the server stops, and nobody sees it fail."""
    async with client.in_flight("GET", path, crashes=True) as exchange:
        with disk.hold(LOG):
            await client.finish_what_can([exchange])
            for _ in range(5):
                await client.give_turns()
            assert entries(disk) or not exchange.finished, (
                "the exchange had finished, and its line was not written yet: whatever writes it must be waited for"
            )

    assert len(entries(disk)) == 1, "there must be one line"


TROUBLE = pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(errno.ENOSPC, id="no space left"),
        pytest.param(errno.EACCES, id="not permitted"),
        pytest.param(errno.EROFS, id="read only"),
        pytest.param(errno.EISDIR, id="it is a folder"),
    ],
)


@TROUBLE
async def test_a_log_that_cannot_be_written_changes_no_response(client, disk, trouble):
    """A full disk is bad enough. It must not take the shop down with it."""
    paths = ["/items/3", "/items/12", "/nowhere", "/crash"]
    good = [await client.get(path, crashes=True) for path in paths]
    disk.fail(LOG, trouble)
    bad = [await client.get(path, crashes=True) for path in paths]

    assert len(entries(disk)) == len(paths), "the lines of before must be there, and no others"
    assert [response.status_code for response in bad] == [200, 404, 404, 500], (
        "the statuses must be what they are with a log"
    )
    assert [response.content for response in bad] == [response.content for response in good], (
        "the bodies must be what they are with a log"
    )
    assert [response.headers for response in bad] == [response.headers for response in good], (
        "the headers must be what they are with a log"
    )

"""What must be logged of each request, after its response."""

import json
from datetime import datetime, timedelta

import pytest

LOG = "access.jsonl"


def entries(disk):
    """The entries of the log; a line that is no JSON object is not one."""
    lines = disk.lines(LOG)
    try:
        found = [json.loads(line) for line in lines]
    except ValueError:
        raise AssertionError(f"each line must be JSON, and these are the lines: {lines}") from None
    assert all(isinstance(entry, dict) for entry in found), f"each line must be an object: {lines}"
    return found


def brief(disk):
    return [(e.get("method"), e.get("path"), e.get("status")) for e in entries(disk)]


async def test_a_response_leaves_one_line(client, disk):
    """Whoever runs the server wants to know what was asked, and what came of it."""
    exchange = await client.get("/items/3")

    assert (exchange.status, exchange.json()) == (200, {"id": 3}), "the response stays what it was"
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
        pytest.param("POST", "/items/3", 405, id="another method"),
    ],
)
async def test_every_response_counts(client, disk, method, path, status):
    """The requests that went wrong are the ones that people look for."""
    exchange = await client.request(method, path)

    assert exchange.status == status, "the response stays what it was"
    assert brief(disk) == [(method, path, status)], "(method, path, status) of the lines"


async def test_a_crash_counts_too_and_once(client, disk):
    """A task that a route has added is lost when the route raises: a log must not be."""
    exchange = await client.get("/crash", crashes=True)

    assert exchange.status == 500, "the response's status"
    assert brief(disk) == [("GET", "/crash", 500)], "(method, path, status) of the lines"


async def test_the_path_is_decoded_and_without_the_query(client, disk):
    """What is searched for is what people read, and queries may hold secrets."""
    await client.get("/items/3?token=secret")
    await client.get("/caf%C3%A9%20au%20lait")

    assert [entry.get("path") for entry in entries(disk)] == ["/items/3", "/café au lait"], (
        "the paths that were logged"
    )


async def test_the_time_is_when_the_request_arrived(kata, client, clock, disk):
    """A slow request must be found where it began."""

    @kata.app.get("/slow")
    async def slow() -> None:
        clock.tick(10)

    arrived = clock.now
    async with client.responded("GET", "/slow"):
        clock.tick(20)

    assert [moment(entry) for entry in entries(disk)] == [arrived], (
        "the endpoint took 10 s and the response 20 s more; `time` must be ISO 8601 with an offset"
    )


async def test_each_request_in_flight_has_its_own_time(client, clock, disk):
    """Requests overlap on any real server: nothing may be shared between them."""
    start = clock.now
    first = client.begin("GET", "/items/1", stop_at_response=True)
    await first.until_responded()
    clock.tick(10)
    second = client.begin("GET", "/items/2", stop_at_response=True)
    await second.until_responded()
    clock.tick(10)
    await second.until_finished()
    await first.until_finished()

    assert sorted((entry.get("path"), moment(entry)) for entry in entries(disk)) == [
        ("/items/1", start),
        ("/items/2", start + timedelta(seconds=10)),
    ], "(path, time) of two requests in flight together, the second 10 s after the first"


async def test_the_duration_is_a_number_of_milliseconds(client, disk):
    """What is slow is found by sorting."""
    await client.get("/items/3")

    durations = [entry.get("duration_ms") for entry in entries(disk)]
    assert len(durations) == 1, "there must be one line"
    assert type(durations[0]) in (int, float), "duration_ms must be a number"
    assert durations[0] >= 0, "duration_ms cannot be below zero"


async def test_requests_in_flight_leave_whole_lines(client, disk):
    """A log that loses lines under load fails when it is needed."""
    with disk.hold(LOG) as first_writer, disk.hold(LOG, step=2) as half_a_line:
        exchanges = [
            client.begin("GET", f"/items/{number}", stop_at_response=True)
            for number in range(1, 10)
        ]
        for exchange in exchanges:
            await exchange.until_responded()
        await client.finish_what_can(exchanges)
        first_writer.release()
        half_a_line.release()
        for exchange in exchanges:
            await exchange.until_finished()

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


async def test_a_log_that_cannot_be_written_changes_no_response(client, disk):
    """A full disk is bad enough. It must not take the shop down with it."""
    before = await client.get("/items/3")
    disk.fill_up(LOG)
    good = await client.get("/items/3")
    bad = await client.get("/items/12")
    crash = await client.get("/crash", crashes=True)

    assert len(entries(disk)) == 1, "the line of the request before the disk was full must be there"
    assert (before.status, before.json()) == (200, {"id": 3}), "the response while there was space"
    assert (good.status, good.json()) == (200, {"id": 3}), "the response when there was none"
    assert (bad.status, crash.status) == (404, 500), "the statuses of a 404 and a crash"


def moment(entry):
    """The time of an entry, or what stands there instead."""
    try:
        time = datetime.fromisoformat(entry["time"])
    except (KeyError, TypeError, ValueError):
        return entry.get("time")
    return time if time.tzinfo else f"{time.isoformat()} without an offset"

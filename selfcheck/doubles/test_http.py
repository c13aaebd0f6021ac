"""The services answer httpx as far-off servers do, and nothing else is reached."""

import asyncio
import http.server
import threading

import httpx
import pytest

from dojo.doubles.http import (
    WaitsForEverError,
    broken,
    broken_body,
    hung_up,
    silence,
    timeout,
    unreachable,
)
from dojo.harness.environment import client_of, environment_in
from dojo.harness.timeline import MADE
from selfcheck.worlds import app_of_tasks, run_tasks

pytestmark = pytest.mark.fast
URL = "https://ai.example.com/process"


def call() -> httpx.Response:
    return httpx.post(URL, json={"image": 1}, timeout=5)


async def call_awaited() -> httpx.Response:
    async with httpx.AsyncClient(timeout=5) as client:
        return await client.post(URL, json={"image": 1})


CALLS = pytest.mark.parametrize("task", [call, call_awaited])


@pytest.fixture
def service(services):
    return services.on("POST", URL)


@CALLS
async def test_a_call_is_seen_as_it_was_sent(environment, service, task):
    """Method, address, body, and whose it was."""
    exchange = await run_tasks(environment, task)

    assert exchange.raised is None
    (seen,) = service.calls
    assert (seen.method, seen.url, seen.json) == ("POST", URL, {"image": 1})
    assert seen.exchange == exchange.number
    assert environment.timeline.of("call") == [f"POST {URL}, 200"]


async def test_only_a_call_that_is_not_awaited_blocks_the_loop(environment, service):
    """An async task may call, as long as it awaits."""

    async def call_on_the_loop() -> None:
        call()

    await run_tasks(environment, call, call_awaited)
    assert environment.timeline.blocked() == []

    await run_tasks(environment, call_on_the_loop)
    assert environment.timeline.blocked() == [f"call POST {URL}, 200"]


@CALLS
async def test_replies_come_in_order_and_the_last_is_repeated(environment, service, task):
    """A status, a whole response, an exception, or a function that makes one."""
    replies = []
    service.replies_with(503, unreachable, httpx.Response(200, json="a cat"))

    def note(work):
        def sync() -> None:
            try:
                replies.append(work().status_code)
            except httpx.ConnectError as error:
                replies.append(str(error))

        async def awaited() -> None:
            try:
                replies.append((await work()).status_code)
            except httpx.ConnectError as error:
                replies.append(str(error))

        return awaited if asyncio.iscoroutinefunction(work) else sync

    await run_tasks(environment, *[note(task)] * 4)

    assert replies == [503, "connection refused", 200, 200]


@CALLS
async def test_a_held_call_waits_for_its_reply(environment, service, task):
    """It has arrived, and its task goes on only when released."""
    async with client_of(app_of_tasks(task), environment) as client:
        with service.hold() as thinking:
            exchange = client.begin("POST", "/")
            await thinking.until_reached()
            await client.give_turns()
            assert (len(service.calls), exchange.finished) == (1, False)
            thinking.release()
            await exchange.until_finished()


@CALLS
async def test_silence_ends_with_the_time_limit_of_the_call(environment, service, task):
    """Without waiting for it."""
    service.replies_with(silence)

    exchange = await run_tasks(environment, task)

    assert type(exchange.raised) is httpx.ReadTimeout
    assert not service.endless


@CALLS
@pytest.mark.parametrize(
    ("reply", "kind", "told"),
    [
        (timeout("connect"), httpx.ConnectTimeout, "not reachable"),
        (timeout("read"), httpx.ReadTimeout, "no response in time"),
        (timeout("write"), httpx.WriteTimeout, "request not sent in time"),
        (timeout("pool"), httpx.PoolTimeout, "no free connection in time"),
        (unreachable, httpx.ConnectError, "not reachable"),
        (broken(), httpx.ReadError, "connection broken off"),
        (broken("write"), httpx.WriteError, "connection broken off"),
        (hung_up, httpx.RemoteProtocolError, "connection closed without a response"),
        (broken_body(200), httpx.RemoteProtocolError, "200, cut off in its body"),
    ],
)
async def test_a_service_fails_in_each_of_the_ways_of_httpx(
    environment, service, task, reply, kind, told
):
    """With the request that failed, and a row of the timeline that says how."""
    service.replies_with(reply)

    exchange = await run_tasks(environment, task)

    assert isinstance(exchange.raised, httpx.RequestError)
    assert type(exchange.raised) is kind
    assert str(exchange.raised.request.url) == URL
    assert environment.timeline.of("call") == [f"POST {URL}, {told}: {MADE}"]
    assert not service.endless


@CALLS
async def test_an_error_is_not_the_cause_of_its_cause(environment, service, task):
    """What shows all causes, as rich does, would never end."""
    service.replies_with(unreachable)

    exchange = await run_tasks(environment, task)

    causes, error = [], exchange.raised
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__
    assert error is None
    assert isinstance(causes[0], httpx.ConnectError)


@CALLS
async def test_a_body_that_breaks_off_breaks_off_each_time(environment, service, task):
    """The last reply is repeated, and a stream is read only once."""
    service.replies_with(broken_body(503))

    for _ in range(2):
        exchange = await run_tasks(environment, task)
        assert type(exchange.raised) is httpx.RemoteProtocolError


async def call_for_ever() -> None:
    async with httpx.AsyncClient(timeout=None) as client:
        await client.post(URL)


def call_for_ever_in_a_thread() -> None:
    httpx.post(URL, timeout=None)


@pytest.mark.parametrize("task", [call_for_ever, call_for_ever_in_a_thread])
@pytest.mark.parametrize("reply", [silence, timeout("connect"), timeout("write")])
async def test_a_call_without_a_time_limit_would_wait_for_ever(environment, service, task, reply):
    """The spec does not, and is told."""
    service.replies_with(reply)

    exchange = await run_tasks(environment, task)

    assert isinstance(exchange.raised, WaitsForEverError)
    assert service.endless


async def test_a_call_may_wait_for_a_free_connection_as_long_as_it_takes(environment, service):
    """Connections become free: each call that has one ends."""
    service.replies_with(timeout("pool"))

    exchange = await run_tasks(environment, call_for_ever)

    assert type(exchange.raised) is httpx.PoolTimeout
    assert not service.endless


@pytest.mark.parametrize("seconds", [5.0, None])
async def test_a_client_has_no_more_calls_under_way_than_connections(
    environment, services, service, seconds
):
    """The others wait for a connection: as long as it takes, or until their time limit is over."""
    limits, timeout = httpx.Limits(max_connections=2), httpx.Timeout(5, pool=seconds)
    results: list[object] = []

    async def four_calls() -> None:
        async with httpx.AsyncClient(limits=limits, timeout=timeout) as client:
            calls = (client.post(URL) for _ in range(4))
            results.extend(await asyncio.gather(*calls, return_exceptions=True))

    async with client_of(app_of_tasks(four_calls), environment) as client:
        exchange = client.begin("POST", "/")
        with services.hold_each() as calls:
            await calls.until(2)
            await client.give_turns()
        await exchange.until_finished()

    assert calls.most == 2
    late = 0 if seconds is None else 2
    assert [type(result) for result in results].count(httpx.PoolTimeout) == late
    assert len(service.calls) == 4 - late


@pytest.mark.parametrize("limit", ["timeout", "wait_for"])
async def test_a_time_limit_of_asyncio_s_is_one_too(environment, service, limit):
    """Whoever limits the call from outside need not tell httpx."""
    service.replies_with(silence)

    async def limited() -> None:
        if limit == "timeout":
            async with asyncio.timeout(30):
                await call_for_ever()
        else:
            await asyncio.wait_for(call_for_ever(), 30)

    exchange = await run_tasks(environment, limited)

    assert type(exchange.raised) is TimeoutError
    assert not service.endless


@CALLS
async def test_a_call_of_no_known_service_is_refused_by_name(environment, services, task):
    """The message says what was called and what is known."""
    services.on("GET", "https://known.example.com/")

    exchange = await run_tasks(environment, task)

    assert isinstance(exchange.raised, httpx.ConnectError)
    assert f"POST {URL} (known: GET https://known.example.com/)" in str(exchange.raised)
    assert services.refused == [f"POST {URL}"]


async def test_the_fields_of_a_form_are_read(environment, service):
    """Bytes as they were sent, by field."""

    def upload() -> None:
        httpx.post(URL, files={"image": b"\x00\r\ncat"}, data={"name": "Tom"})

    await run_tasks(environment, upload)

    assert service.calls[0].fields == {"name": b"Tom", "image": b"\x00\r\ncat"}


def test_a_client_made_before_the_spec_is_answered_too(tmp_path):
    """Answers keep their client at module level."""
    client = httpx.Client()
    with environment_in(tmp_path) as environment:
        environment.services.on("GET", URL).replies_with(204)

        assert client.get(URL).status_code == 204


def test_after_the_spec_httpx_is_itself_again(tmp_path):
    """A call reaches whom it names, and no service of the spec that is over."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    url = f"http://127.0.0.1:{server.server_port}/"
    with environment_in(tmp_path) as environment:
        service = environment.services.on("GET", url)
        assert httpx.get(url).status_code == 200

    serving = threading.Thread(target=server.handle_request)
    serving.start()
    assert httpx.get(url).status_code == 501
    serving.join(5)
    server.server_close()
    assert len(service.calls) == 1

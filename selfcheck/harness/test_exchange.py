"""The exchange is as strict as a server: two moments, and nothing that is won by luck."""

import asyncio
import concurrent.futures
import contextlib
import sys
import threading
from pathlib import Path

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect

from dojo.harness.environment import client_of
from dojo.harness.exchange import NoResponseError
from dojo.harness.holds import turns, until
from selfcheck.worlds import answer, app_with, http_only

pytestmark = pytest.mark.fast


def touch() -> None:
    Path("seen.txt").write_text("x")


async def touch_on_the_loop() -> None:
    touch()


kept: list[object] = []


async def with_create_task() -> None:
    kept.append(asyncio.create_task(touch_on_the_loop()))


async def with_ensure_future() -> None:
    kept.append(asyncio.ensure_future(touch_on_the_loop()))


async def with_a_thread() -> None:
    threading.Thread(target=touch).start()


async def with_run_in_executor() -> None:
    asyncio.get_running_loop().run_in_executor(None, touch)


async def with_to_thread() -> None:
    kept.append(asyncio.create_task(asyncio.to_thread(touch)))


async def with_submit() -> None:
    concurrent.futures.ThreadPoolExecutor(1).submit(touch)


def with_a_thread_of_a_thread() -> None:
    threading.Thread(target=touch).start()


@pytest.mark.parametrize(
    "endpoint",
    [
        with_create_task,
        with_ensure_future,
        with_a_thread,
        with_run_in_executor,
        with_to_thread,
        with_submit,
        with_a_thread_of_a_thread,
    ],
)
async def test_work_started_in_the_endpoint_is_seen_before_the_response(environment, endpoint):
    """It may come before the response on a real server, so here it always does."""
    async with client_of(app_with(endpoint), environment) as client:
        with contextlib.suppress(AssertionError):
            async with client.responded("POST", "/"):
                assert environment.timeline.order("write", "response") == ["write", "response"]

    assert environment.disk.files() == ["seen.txt"]


@pytest.mark.parametrize("task", [touch, touch_on_the_loop])
async def test_nothing_of_the_tasks_has_run_at_the_answer(environment, task):
    """Between the two moments a spec can look at the world."""

    async def endpoint(background_tasks: BackgroundTasks) -> None:
        background_tasks.add_task(task)

    async with (
        client_of(app_with(endpoint), environment) as client,
        client.responded("POST", "/") as post,
    ):
        await client.give_turns()
        assert (post.responded, post.finished) == (True, False)
        assert environment.disk.files() == []

    assert post.finished
    assert environment.timeline.order("response", "write", "finished") == [
        "response",
        "write",
        "finished",
    ]


async def test_a_task_that_reads_the_request_finds_the_client_gone(environment):
    """As under uvicorn: whoever wants the body has to read it before the response."""
    found: list[object] = []

    async def endpoint(request: Request, background_tasks: BackgroundTasks) -> None:
        async def read() -> None:
            try:
                found.append(await request.body())
            except ClientDisconnect:
                found.append("gone")

        background_tasks.add_task(read)

    async with client_of(app_with(endpoint), environment) as client:
        await client.post("/", content=b"news")

    assert found == ["gone"]


async def test_the_client_is_there_until_its_answer(environment):
    """`receive` waits before the response, and says `http.disconnect` after it."""
    gone = []

    async def endpoint(request: Request, background_tasks: BackgroundTasks) -> None:
        async def look() -> None:
            gone.append(await request.is_disconnected())

        await request.body()
        await look()
        background_tasks.add_task(look)

    async with client_of(app_with(endpoint), environment) as client:
        await client.post("/")

    assert gone == [False, True]


async def test_a_request_is_read_whole_before_the_response(environment):
    """The body, the query and the headers come as they were sent."""

    async def endpoint(request: Request) -> list[str]:
        body = (await request.body()).decode()
        return [body, request.query_params["q"], request.headers["X-Who"], request.url.path]

    async with client_of(app_with(endpoint), environment) as client:
        response = await client.post("/?q=a%20b", content=b"news", headers={"X-Who": "ada"})

    assert (response.status_code, response.json()) == (200, ["news", "a b", "ada", "/"])


START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"ab", "more_body": True}
END = {"type": "http.response.body", "body": b"c"}


@pytest.mark.parametrize(
    ("messages", "refusal"),
    [
        ([START, END, END], "after the response was complete"),
        ([START, END, START], "after the response was complete"),
        ([START, START], "sent twice"),
        ([END], "makes no sense"),
        ([START, {"type": "http.response.trailers"}], "makes no sense"),
    ],
)
async def test_messages_that_make_no_sense_are_refused(environment, messages, refusal):
    """A server would refuse them too."""
    refused = []

    @http_only
    async def app(scope, receive, send) -> None:
        try:
            for message in messages:
                await send(message)
        except RuntimeError as error:
            refused.append(str(error))

    async with client_of(app, environment) as client:
        exchange = client.begin("GET", "/")
        with contextlib.suppress(NoResponseError):
            await exchange.until_finished()

    assert len(refused) == 1
    assert refusal in refused[0]


@pytest.mark.parametrize("sized", [True, False])
async def test_the_answer_is_out_with_its_last_byte(environment, sized):
    """With a content-length the client knows the end before the server says it."""
    start = {**START, "headers": [(b"Content-Length", b"4")] if sized else []}

    @http_only
    async def app(scope, receive, send) -> None:
        for message in (start, PART, PART, {"type": "http.response.body"}):
            await send(message)
            environment.timeline.record("sent")

    async with client_of(app, environment) as client:
        response = await client.get("/")

    kinds = [event.kind for event in environment.timeline if event.kind in ("sent", "response")]
    assert kinds.index("response") == (2 if sized else 3)
    assert response.content == b"abab"


async def test_a_stream_is_answered_with_its_last_chunk(environment):
    """The chunks are made before the response is complete, the task runs after it."""

    async def chunks():
        for name in ("one", "two"):
            environment.timeline.record("chunk", name)
            yield name

    async def endpoint() -> StreamingResponse:
        return StreamingResponse(chunks(), background=BackgroundTask(touch))

    async with client_of(app_with(endpoint), environment) as client:
        response = await client.post("/")

    assert response.content == b"onetwo"
    assert environment.timeline.of("chunk") == ["one", "two"]
    assert environment.timeline.order("chunk", "response", "write") == [
        "chunk",
        "response",
        "write",
    ]


async def test_a_base_http_middleware_does_not_move_the_answer(environment):
    """Starlette sends from another task then, and the events stay the same."""

    async def endpoint(background_tasks: BackgroundTasks) -> int:
        background_tasks.add_task(touch)
        return 1

    app = app_with(endpoint)
    app.middleware("http")(lambda request, call_next: call_next(request))
    async with client_of(app, environment) as client, client.responded("POST", "/") as exchange:
        assert (exchange.response.status_code, exchange.response.json()) == (200, 1)
        assert environment.disk.files() == []

    assert environment.timeline.order("response", "write", "finished") == [
        "response",
        "write",
        "finished",
    ]


async def test_each_exchange_has_its_own_events(environment):
    """Two requests in flight can be told apart, on the loop and in worker threads."""

    async def endpoint(name: str, background_tasks: BackgroundTasks) -> None:
        background_tasks.add_task(Path(name).write_text, "x")

    async with client_of(app_with(endpoint), environment) as client:
        ada = client.begin("POST", "/?name=ada", stop_at_response=True)
        grace = client.begin("POST", "/?name=grace", stop_at_response=True)
        await ada.until_responded()
        await grace.until_responded()
        await grace.until_finished()
        await ada.until_finished()

    written = {
        event.detail: event.exchange for event in environment.timeline if event.kind == "write"
    }
    assert written == {"ada": ada.number, "grace": grace.number}
    assert environment.timeline.of("write") == ["grace", "ada"]


async def test_the_lifespan_s_state_reaches_requests(environment):
    """Startup comes before the first request, shutdown after the last."""
    seen = []

    @contextlib.asynccontextmanager
    async def lifespan(app):
        seen.append("up")
        yield {"who": "ada"}
        seen.append("down")

    app = FastAPI(lifespan=lifespan)

    @app.post("/")
    async def endpoint(request: Request) -> None:
        seen.append(request.state.who)

    async with client_of(app, environment) as client:
        await client.post("/")

    assert seen == ["up", "ada", "down"]


async def test_a_startup_that_fails_is_told(environment):
    """Not as a time-out, and in the app's own words."""

    @contextlib.asynccontextmanager
    async def lifespan(app):
        raise RuntimeError("no coffee")
        yield

    with pytest.raises(AssertionError, match="does not start up: RuntimeError: no coffee"):
        async with client_of(FastAPI(lifespan=lifespan), environment):
            pass


async def crash() -> None:
    raise ValueError("oh")


async def crash_later(background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(crash)


async def crash_unnoticed() -> None:
    sys.exit("bye")


async def leave_later(background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(sys.exit, "bye")


async def leave_on_the_loop(background_tasks: BackgroundTasks) -> None:
    background_tasks.add_task(crash_unnoticed)


async def test_a_crash_before_the_answer_is_no_answer(environment):
    """The message names what was raised."""
    async with client_of(app_with(crash), environment) as client:
        with pytest.raises(
            NoResponseError, match="POST / raised ValueError instead of sending a response: oh"
        ) as no:
            await client.post("/")

    assert isinstance(no.value.cause, ValueError)
    assert environment.timeline.of("raised") == ["ValueError: oh"]


async def test_a_spec_that_asks_for_a_crash_sees_the_500(environment):
    """Some katas are about crashes."""
    async with client_of(app_with(crash), environment) as client:
        response = await client.post("/", crashes=True)

    assert response.status_code == 500
    assert isinstance(response.exchange.raised, ValueError)


async def test_a_crash_after_the_answer_is_kept(environment):
    """The client has its answer all the same."""
    async with client_of(app_with(crash_later), environment) as client:
        response = await client.post("/")

    assert response.status_code == 200
    assert isinstance(response.exchange.raised, ValueError)
    assert environment.timeline.order("response", "raised") == ["response", "raised"]


async def test_a_refusal_is_an_answer(environment):
    """An HTTPException is the app's own word, not a crash."""

    async def endpoint() -> None:
        raise HTTPException(503, "later")

    async with client_of(app_with(endpoint), environment) as client:
        response = await client.post("/")

    assert (response.status_code, response.json()) == (503, {"detail": "later"})
    assert response.exchange.raised is None


async def test_a_crash_behind_a_500_that_was_returned_is_kept(environment):
    """An app that answers 500 by itself has answered."""

    async def endpoint() -> JSONResponse:
        return JSONResponse({}, 500, background=BackgroundTask(crash))

    async with client_of(app_with(endpoint), environment) as client:
        response = await client.post("/", crashes=True)

    assert response.status_code == 500
    assert isinstance(response.exchange.raised, ValueError)


@pytest.mark.parametrize("endpoint", [crash_unnoticed, leave_later, leave_on_the_loop])
async def test_a_sys_exit_does_not_end_the_run(environment, endpoint):
    """One answer that leaves the interpreter must not take the board with it."""
    app = app_with(endpoint)
    app.get("/alive")(lambda: True)
    async with client_of(app, environment) as client:
        exchange = client.begin("POST", "/")
        with contextlib.suppress(NoResponseError):
            await exchange.until_finished()
        assert isinstance(exchange.raised, SystemExit)
        alive = await client.get("/alive")

    assert alive.status_code == 200


async def test_a_sys_exit_instead_of_an_answer_is_told(environment):
    """It is no answer."""
    async with client_of(app_with(crash_unnoticed), environment) as client:
        with pytest.raises(
            NoResponseError, match="raised SystemExit instead of sending a response: bye"
        ):
            await client.post("/")


async def test_an_exchange_that_is_never_answered_ends_with_a_reason(environment, monkeypatch):
    """A spec that hangs teaches nothing."""
    monkeypatch.setattr("dojo.harness.holds.SECONDS", 0.02)
    monkeypatch.setattr("dojo.harness.exchange.SECONDS", 0.02)

    async def endpoint() -> None:
        await asyncio.Event().wait()

    async with client_of(app_with(endpoint), environment) as client:
        exchange = client.begin("POST", "/")
        with pytest.raises(AssertionError, match="got no response within"):
            await exchange.until_responded()
        with pytest.raises(AssertionError, match=r"POST / did not respond within 0\.04 s"):
            await exchange.until_finished()


async def test_a_task_that_never_ends_is_told(environment, monkeypatch):
    """The message says that the response was fine."""
    monkeypatch.setattr("dojo.harness.exchange.SECONDS", 0.3)

    async def endpoint(background_tasks: BackgroundTasks) -> None:
        background_tasks.add_task(asyncio.Event().wait)

    async with client_of(app_with(endpoint), environment) as client:
        with pytest.raises(AssertionError, match="responded, but its tasks did not end"):
            await client.post("/")


async def test_an_app_that_returns_without_an_answer_is_told(environment):
    """There is no exception to show then."""

    @http_only
    async def app(scope, receive, send) -> None:
        pass

    async with client_of(app, environment) as client:
        with pytest.raises(NoResponseError, match="GET / ended without a complete response"):
            await client.get("/")


async def test_an_answer_that_waits_for_what_is_held_is_told(environment):
    """The client would wait as long."""
    service = environment.services.on("GET", "https://ai.example.com/")

    async def endpoint() -> None:
        async with httpx.AsyncClient(verify=False) as ai:
            await ai.get("https://ai.example.com/")

    async with client_of(app_with(endpoint), environment) as client:
        with service.hold():
            exchange = client.begin("POST", "/")
            with pytest.raises(
                AssertionError, match="got no response while the call GET https://ai"
            ):
                await exchange.until_responded()


@pytest.mark.parametrize(
    ("body", "look", "message"),
    [
        (b"<html>", lambda r: r.json(), "to POST / is not JSON: status 200, body '<html>'"),
        (b"null", lambda r: r.field("id"), "a JSON object with the field `id`: .* body 'null'"),
        (b'{"a": 1}', lambda r: r.field("id"), "a JSON object with the field `id`"),
    ],
)
async def test_a_body_that_is_not_as_expected_is_shown(environment, body, look, message):
    """An exception of the JSON module would only say that something is wrong at column 1."""

    async def endpoint() -> Response:
        return Response(body)

    async with client_of(app_with(endpoint), environment) as client:
        response = await client.post("/")

    with pytest.raises(AssertionError, match=message):
        look(response)


async def test_a_response_is_read_as_any_of_httpx(environment):
    """To show it is no comparison of its status: that would count as one of the spec's."""

    async def endpoint() -> dict[str, int]:
        return {"id": 3}

    async with client_of(app_with(endpoint), environment) as client:
        response = await client.post("/")

    assert isinstance(response, httpx.Response)
    assert (response.text, response.content) == ('{"id":3}', b'{"id":3}')
    assert (repr(response), response.status_code.expected) == ("<Response [200]>", False)
    assert (response.status_code, response.field("id")) == (200, 3)
    assert response.status_code.expected
    assert response.headers["content-type"] == "application/json"


async def test_there_is_no_response_before_its_last_byte(environment):
    """Half a response is not one."""
    async with (
        client_of(app_with(touch), environment) as client,
        client.in_flight("POST", "/") as exchange,
    ):
        with pytest.raises(AssertionError, match="POST / has no complete response yet"):
            _ = exchange.response


async def test_what_a_block_begins_has_finished_after_it(environment):
    """A hold that the block begins with is there before the app gets the request."""
    async with client_of(app_with(touch), environment) as client:
        async with client.in_flight("POST", "/") as first:
            with environment.disk.hold("seen.txt") as slow_disk:
                await slow_disk.until_reached()
                second = await client.begin("POST", "/").until_responded()
                assert (first.finished, second.responded) == (False, True)

        assert (first.finished, second.finished) == (True, True)


async def test_a_body_comes_in_pieces(environment):
    """As a server hands it over: each piece by itself, an empty one too."""
    seen = []

    async def endpoint(request: Request) -> None:
        async for piece in request.stream():
            seen.append(piece)

    async with client_of(app_with(endpoint), environment) as client:
        await client.post("/", pieces=[b"one", b"", b"two"])

    assert seen == [b"one", b"two", b""], "Starlette leaves an empty one out, and adds its own"


@pytest.mark.parametrize("leaves_after", [1, 2])
async def test_a_client_that_goes_away_gets_nothing_more(environment, leaves_after):
    """The app is told by `receive`, and what it sends is dropped; its tasks run."""

    async def pieces():
        for _ in range(1_000):
            yield b"piece"

    async def endpoint():
        return StreamingResponse(pieces(), background=BackgroundTask(touch))

    async with client_of(app_with(endpoint), environment) as client:
        response = await client.post("/", leaves_after=leaves_after)

    assert (response.exchange.gone, response.exchange.raised) == (True, None)
    assert response.content == b"piece" * leaves_after
    assert environment.disk.files() == ["seen.txt"]
    assert environment.timeline.order("gone", "response", "write") == ["gone", "write"]


async def test_a_client_that_stays_is_not_gone(environment):
    """A response of one piece cannot be left half-way."""
    async with client_of(app_with(lambda: {"ok": True}), environment) as client:
        response = await client.post("/", leaves_after=1)

    assert not response.exchange.gone
    assert environment.timeline.order("gone", "response") == ["response"]


async def test_a_server_may_have_one_worker_thread(environment):
    """What holds it keeps every plain function waiting."""
    entered, let_go = threading.Event(), threading.Event()

    def endpoint() -> None:
        entered.set()
        let_go.wait(5)

    async with client_of(app_with(endpoint), environment) as client:
        client.limit_worker_threads(1)
        first = client.begin("POST", "/")
        await until(entered.is_set)
        entered.clear()
        second = client.begin("POST", "/")
        await turns()
        assert not entered.is_set()
        let_go.set()
        await client.finish([first, second])
        assert entered.is_set()


async def in_pieces():
    async def pieces():
        for piece in (b"one", b"two", b"three"):
            yield piece

    return StreamingResponse(pieces())


@pytest.mark.parametrize("pieces", [1, 2, 3])
async def test_a_client_may_read_no_further(environment, pieces):
    """The app has handed the piece over, and waits for it to be taken."""
    async with client_of(app_with(in_pieces), environment) as client:
        async with client.in_flight("POST", "/", pauses_after=pieces) as exchange:
            await exchange.until_paused()
            assert (exchange.pieces, exchange.responded) == (pieces, False)

        assert exchange.response.content == b"onetwothree"


async def test_a_response_that_ends_before_the_pause_is_told(environment):
    """And how many pieces there were."""
    async with client_of(app_with(in_pieces), environment) as client:
        exchange = client.begin("POST", "/", pauses_after=4)
        with pytest.raises(AssertionError, match=r"in 4 piece.s. or more, and it was sent in 3"):
            await exchange.until_paused()


STREAMED = """
    from fastapi import FastAPI
    from fastapi.responses import Response, StreamingResponse
    from starlette.background import BackgroundTask

    app = FastAPI()

    def write(name):
        with open(name, "w") as file:
            file.write("x")

    async def pieces():
        write("first.txt")
        yield b"one"
        write("last.txt")

    async def task():
        write("task.txt")

    @app.get("/stream")
    async def stream():
        length = {"content-length": "3"}
        return StreamingResponse(pieces(), headers=length, background=BackgroundTask(task))
"""


async def test_a_piece_of_a_body_is_no_task(environment, tmp_path):
    """What makes it on the loop belongs to the endpoint; a task on the loop does not."""
    with answer(tmp_path, STREAMED) as module:
        async with client_of(module.app, environment) as client:
            await client.get("/stream")

    assert set(environment.timeline.blocked()) == {"write task.txt"}
    assert set(environment.timeline.on_the_loop()) > {"write first.txt", "write last.txt"}


SENDING = """
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    class Noting:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def noting_send(message):
                await send(message)
                with open("log.txt", "a") as file:
                    file.write("x")

            await self.app(scope, receive, noting_send)

    app.add_middleware(Noting)

    async def pieces():
        yield b"one"

    @app.get("/stream")
    async def stream():
        return StreamingResponse(pieces())
"""


async def test_a_middleware_that_is_told_by_a_response_is_one(environment, tmp_path):
    """It is no piece of the body that it makes when the response calls its `send`."""
    with answer(tmp_path, SENDING) as module:
        async with client_of(module.app, environment) as client:
            await client.get("/stream")

    assert "write log.txt" in environment.timeline.blocked()


async def test_a_stream_with_a_task_stops_at_its_response(environment):
    """Starlette waits beside a stream for the client to leave, and would end the stop with that."""
    app = FastAPI()
    done: list[str] = []

    @app.get("/")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]), background=BackgroundTask(done.append, "task"))

    async with client_of(app, environment) as client:
        async with client.responded("GET", "/") as exchange:
            await client.give_turns()
            assert (exchange.responded, done) == (True, [])
        assert done == ["task"]

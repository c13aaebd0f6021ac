"""Nothing may be left behind when an exchange has finished, and only that is complained about."""

import asyncio
import concurrent.futures
import threading

import anyio
import pytest

from dojo.harness.environment import client_of
from selfcheck.worlds import answer, app_of_tasks, app_with, run_tasks

pytestmark = pytest.mark.fast
LEAVES_BEHIND = """
    import asyncio
    import concurrent.futures
    import threading

    from fastapi import FastAPI

    app = FastAPI()
    pool = concurrent.futures.ThreadPoolExecutor(1)
    gate = threading.Event()
    kept = []


    @app.post("/task")
    async def with_a_task():
        kept.append(asyncio.create_task(asyncio.Event().wait()))


    @app.post("/thread")
    async def with_a_thread():
        threading.Thread(target=gate.wait, args=(5,)).start()


    @app.post("/sync")
    def with_a_thread_of_a_thread():
        threading.Thread(target=gate.wait, args=(5,)).start()


    @app.post("/timer")
    def with_a_timer():
        kept.append(threading.Timer(5, print))
        kept[-1].start()


    @app.post("/submit")
    async def with_submit():
        pool.submit(gate.wait, 5)


    @app.post("/executor")
    async def with_run_in_executor():
        kept.append(asyncio.get_running_loop().run_in_executor(None, gate.wait, 5))
"""


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("/task", "an asyncio task"),
        ("/thread", "a thread"),
        ("/sync", "a thread"),
        ("/timer", "a thread"),
        ("/submit", "a job of an executor"),
        ("/executor", "a job of an executor"),
    ],
)
async def test_what_still_runs_is_left_behind(
    environment, tmp_path_factory, monkeypatch, url, what
):
    """The message says what it is and which line started it."""
    monkeypatch.setattr("dojo.harness.spawned.PATIENCE", 0.02)
    with answer(tmp_path_factory.mktemp("tree"), LEAVES_BEHIND) as module:
        try:
            async with client_of(module.app, environment) as client:
                with pytest.raises(
                    AssertionError,
                    match=rf"left behind by POST {url}: {what} started at \S*app\.py:\d+,",
                ):
                    await client.post(url)
        finally:
            module.gate.set()
            for kept in module.kept:
                kept.cancel()
            module.pool.shutdown()


async def nothing() -> None:
    await asyncio.sleep(0)


async def awaits_a_task() -> None:
    await asyncio.create_task(nothing())


async def gathers() -> None:
    await asyncio.gather(nothing(), nothing())


async def has_a_task_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(nothing())
    async with anyio.create_task_group() as other:
        other.start_soon(nothing)


async def asks_a_thread() -> None:
    await asyncio.to_thread(len, "")
    await anyio.to_thread.run_sync(len, "")


def joins_a_thread() -> None:
    thread = threading.Thread(target=len, args=("",))
    thread.start()
    thread.join()


def has_a_pool_for_itself() -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(len, ["a", "b"])) == [1, 1]


shared_pool = concurrent.futures.ThreadPoolExecutor(1)


def waits_for_a_job() -> None:
    assert shared_pool.submit(len, "a").result() == 1


async def awaits_a_job_of_a_pool() -> None:
    await asyncio.get_running_loop().run_in_executor(shared_pool, len, "a")


async def cancels_its_task() -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


TIDY = [
    awaits_a_task,
    gathers,
    has_a_task_group,
    asks_a_thread,
    joins_a_thread,
    has_a_pool_for_itself,
    waits_for_a_job,
    awaits_a_job_of_a_pool,
    cancels_its_task,
]


@pytest.mark.parametrize("work", TIDY)
async def test_what_has_ended_is_not_left_behind(environment, work):
    """An idle worker of a pool is none, and a thread that was joined is none."""
    async with client_of(app_with(work), environment) as client:
        response = await client.post("/")

    assert response.status_code == 200


@pytest.mark.parametrize("how", ["thread", "submit", "executor"])
async def test_what_a_thread_does_is_its_exchange_s(environment, how):
    """A thread inherits no context, and its work is still somebody's."""
    seen = []

    def work() -> None:
        environment.timeline.record("work")

    async def endpoint() -> None:
        if how == "thread":
            thread = threading.Thread(target=work)
            thread.start()
            await asyncio.to_thread(thread.join)
        elif how == "submit":
            await asyncio.wrap_future(shared_pool.submit(work))
        else:
            await asyncio.get_running_loop().run_in_executor(None, work)

    async with client_of(app_with(endpoint), environment) as client:
        for _ in range(2):
            seen.append((await client.post("/")).exchange.number)

    assert [event.exchange for event in environment.timeline if event.kind == "work"] == seen


@pytest.mark.parametrize("attempt", range(5))
async def test_a_job_that_nobody_awaits_is_left_behind_however_quick_it_is(environment, attempt):
    """Whether it is done when the app returns must not be a matter of luck."""

    async def endpoint() -> None:
        asyncio.get_running_loop().run_in_executor(None, len, "a")

    async with client_of(app_with(endpoint), environment) as client:
        exchange = client.begin("POST", "/", stop_at_response=True)
        await exchange.until_responded()
        await exchange.until_finished()

    async with client_of(app_of_tasks(endpoint), environment) as client:
        with pytest.raises(AssertionError, match="a job of an executor started"):
            await client.post("/")


async def test_the_future_of_a_job_is_one_like_any_other(environment):
    """It has the result or the exception, can be waited for in all ways, and be cancelled."""
    seen: list[object] = []

    async def task() -> None:
        loop = asyncio.get_running_loop()
        seen.append(await loop.run_in_executor(None, len, "ab"))
        done, _ = await asyncio.wait([loop.run_in_executor(None, len, "abc")])
        seen.append(done.pop().result())
        seen.extend(await asyncio.gather(loop.run_in_executor(None, len, "abcd")))
        try:
            await loop.run_in_executor(None, int, "x")
        except ValueError as error:
            seen.append(type(error))
        never = loop.run_in_executor(None, len, "")
        seen.append(never.cancel())
        await asyncio.wait([never])
        seen.append(never.cancelled())

    await run_tasks(environment, task)

    assert seen == [2, 3, 4, ValueError, True, True]


async def test_the_next_exchange_is_not_blamed(environment):
    """What one left behind is its own."""
    kept = []

    async def endpoint(leave: bool) -> None:
        if leave:
            kept.append(asyncio.create_task(asyncio.Event().wait()))

    async with client_of(app_with(endpoint), environment) as client:
        with pytest.raises(AssertionError, match="left behind"):
            await client.post("/?leave=true")
        await client.post("/?leave=false")
        kept[0].cancel()


WORKERS = """
    import asyncio
    import queue
    import threading
    from concurrent.futures import Future
    from contextlib import asynccontextmanager

    from fastapi import FastAPI, Request

    def work(on_the_loop):
        open("out.txt", "a").close()

    async def coroutine(jobs):
        while True:
            on_the_loop, done = await jobs.get()
            if on_the_loop:
                work(True)
            else:
                await asyncio.to_thread(work, False)
            done.set()

    def thread(jobs):
        while (done := jobs.get()) is not None:
            done.set_result(work(False))

    @asynccontextmanager
    async def lifespan(app):
        work(True)
        app.state.jobs, app.state.thread_jobs = asyncio.Queue(), queue.Queue()
        task = asyncio.create_task(coroutine(app.state.jobs))
        worker = threading.Thread(target=thread, args=(app.state.thread_jobs,))
        worker.start()
        yield
        task.cancel()
        app.state.thread_jobs.put(None)
        worker.join()

    app = FastAPI(lifespan=lifespan)

    @app.post("/loop")
    async def on_the_loop(request: Request):
        done = asyncio.Event()
        await request.app.state.jobs.put((True, done))
        await done.wait()

    @app.post("/away")
    async def away(request: Request):
        done = asyncio.Event()
        await request.app.state.jobs.put((False, done))
        await done.wait()

    @app.post("/thread")
    def in_a_thread(request: Request):
        done = Future()
        request.app.state.thread_jobs.put(done)
        done.result()
"""


async def test_a_worker_of_the_lifespan_works_for_the_exchange_in_flight(
    environment, tmp_path_factory
):
    """And for nobody while the app starts up."""
    with answer(tmp_path_factory.mktemp("tree"), WORKERS) as module:
        async with client_of(module.app, environment) as client:
            for url in ("/loop", "/away", "/thread"):
                await client.post(url)

    writes = [
        (event.exchange, event.on_loop) for event in environment.timeline if event.kind == "write"
    ]
    assert writes == [(1, True), (2, False), (3, False)]


async def test_a_worker_is_held_for_the_exchange_that_waits(environment, tmp_path_factory):
    """A client that waits for a worker is told apart from one that does not."""
    with answer(tmp_path_factory.mktemp("tree"), WORKERS) as module:
        async with client_of(module.app, environment) as client:
            with environment.disk.hold("out.txt") as slow_disk:
                exchange = client.begin("POST", "/thread")
                with pytest.raises(AssertionError, match="the client has to wait"):
                    await exchange.until_responded()
                slow_disk.release()
                await exchange.until_finished()


MIDDLEWARE = """
    from fastapi import BackgroundTasks, Depends, FastAPI

    app = FastAPI()

    def work():
        open("out.txt", "a").close()

    class Asgi:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def send_and_work(message):
                if scope.get("path") == "/send" and message["type"] == "http.response.start":
                    work()
                await send(message)

            if scope.get("path") == "/asgi":
                work()
            await self.app(scope, receive, send_and_work)

    @app.middleware("http")
    async def middleware(request, call_next):
        if request.url.path == "/http":
            work()
        return await call_next(request)

    app.add_middleware(Asgi)

    async def dependency():
        work()

    @app.post("/asgi")
    @app.post("/send")
    @app.post("/http")
    async def nothing():
        pass

    @app.post("/endpoint")
    async def endpoint():
        work()

    @app.post("/dependency")
    async def with_a_dependency(it=Depends(dependency)):
        pass

    async def task():
        work()

    @app.post("/task")
    async def with_a_task(background_tasks: BackgroundTasks):
        background_tasks.add_task(task)
"""


@pytest.mark.parametrize(
    ("url", "blocks"),
    [
        ("/asgi", True),
        ("/send", True),
        ("/http", True),
        ("/task", True),
        ("/endpoint", False),
        ("/dependency", False),
    ],
)
async def test_a_middleware_may_not_block_the_loop_and_an_endpoint_may(
    environment, tmp_path_factory, url, blocks
):
    """Also before the response; what an endpoint does there is the learner's choice."""
    with answer(tmp_path_factory.mktemp("tree"), MIDDLEWARE) as module:
        async with client_of(module.app, environment) as client:
            await client.post(url)

    assert environment.timeline.of("write") == ["out.txt"]
    assert environment.timeline.blocked() == (["write out.txt"] if blocks else [])

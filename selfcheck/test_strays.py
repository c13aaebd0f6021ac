"""Nothing may be left behind when an exchange has finished, and only that is complained about."""

import asyncio
import concurrent.futures
import threading

import anyio
import pytest
from worlds import answer, app_of_tasks, app_with, run_tasks

from dojo.stage import client_of

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
async def test_what_still_runs_is_left_behind(scene, tmp_path_factory, monkeypatch, url, what):
    """The message says what it is and which line started it."""
    monkeypatch.setattr("dojo.strays.PATIENCE", 0.02)
    with answer(tmp_path_factory.mktemp("tree"), LEAVES_BEHIND) as module:
        try:
            async with client_of(module.app, scene) as client:
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
async def test_what_has_ended_is_not_left_behind(scene, work):
    """An idle worker of a pool is none, and a thread that was joined is none."""
    async with client_of(app_with(work), scene) as client:
        exchange = await client.post("/")

    assert exchange.status == 200


@pytest.mark.parametrize("how", ["thread", "submit", "executor"])
async def test_what_a_thread_does_is_its_exchange_s(scene, how):
    """A thread inherits no context, and its work is still somebody's."""
    seen = []

    def work() -> None:
        scene.timeline.record("work")

    async def endpoint() -> None:
        if how == "thread":
            thread = threading.Thread(target=work)
            thread.start()
            await asyncio.to_thread(thread.join)
        elif how == "submit":
            await asyncio.wrap_future(shared_pool.submit(work))
        else:
            await asyncio.get_running_loop().run_in_executor(None, work)

    async with client_of(app_with(endpoint), scene) as client:
        for _ in range(2):
            seen.append((await client.post("/")).number)

    assert [event.exchange for event in scene.timeline if event.kind == "work"] == seen


@pytest.mark.parametrize("attempt", range(5))
async def test_a_job_that_nobody_awaits_is_left_behind_however_quick_it_is(scene, attempt):
    """Whether it is done when the app returns must not be a matter of luck."""

    async def endpoint() -> None:
        asyncio.get_running_loop().run_in_executor(None, len, "a")

    async with client_of(app_with(endpoint), scene) as client:
        exchange = client.begin("POST", "/", stop_at_response=True)
        await exchange.until_responded()
        await exchange.until_finished()

    async with client_of(app_of_tasks(endpoint), scene) as client:
        with pytest.raises(AssertionError, match="a job of an executor started"):
            await client.post("/")


async def test_the_future_of_a_job_is_one_like_any_other(scene):
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

    await run_tasks(scene, task)

    assert seen == [2, 3, 4, ValueError, True, True]


async def test_the_next_exchange_is_not_blamed(scene):
    """What one left behind is its own."""
    kept = []

    async def endpoint(leave: bool) -> None:
        if leave:
            kept.append(asyncio.create_task(asyncio.Event().wait()))

    async with client_of(app_with(endpoint), scene) as client:
        with pytest.raises(AssertionError, match="left behind"):
            await client.post("/?leave=true")
        await client.post("/?leave=false")
        kept[0].cancel()

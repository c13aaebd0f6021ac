"""The clock stands still in an answer, and only its sleeps move it on."""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from types import ModuleType

import anyio
import pytest

from dojo.doubles.clock import START, frozen_clock
from dojo.harness.environment import client_of
from dojo.harness.holds import until
from selfcheck.worlds import answer, app_of_tasks, run_tasks

pytestmark = pytest.mark.fast


@pytest.fixture
def frozen(environment):
    with frozen_clock() as clock:
        yield clock


READS_THE_TIME = """
    import time
    from datetime import datetime, timezone
    from time import time as imported_time

    from fastapi import BackgroundTasks, FastAPI

    app = FastAPI()
    seen = []


    def now():
        return [
            datetime.now(timezone.utc).timestamp(),
            datetime.utcnow().replace(tzinfo=timezone.utc).timestamp(),
            datetime.fromtimestamp(time.time(), timezone.utc).timestamp(),
            time.time(),
            time.time_ns() / 1e9,
            imported_time(),
            float(time.strftime("%Y", time.gmtime())),
        ]


    def in_a_thread():
        seen.append(now())


    async def on_the_loop():
        seen.append(now())


    @app.post("/")
    async def endpoint(background_tasks: BackgroundTasks):
        background_tasks.add_task(in_a_thread)
        background_tasks.add_task(on_the_loop)
"""


async def test_time_stands_still_in_tasks_on_either_thread(environment, tmp_path_factory):
    """Whichever way an answer asks for it."""
    with answer(tmp_path_factory.mktemp("tree"), READS_THE_TIME) as module:
        async with client_of(module.app, environment) as client:
            with frozen_clock():
                await client.post("/")

    expected = [START.timestamp()] * 6 + [2026.0]
    assert module.seen == [expected, expected]


async def test_ticking_moves_the_time_of_both_threads(environment, frozen):
    """A spec says when it gets later."""
    seen = []

    async def look() -> None:
        seen.append(datetime.now(UTC))

    frozen.tick(90)
    await run_tasks(environment, look, lambda: seen.append(datetime.now(UTC)))

    assert seen == [START + timedelta(seconds=90)] * 2


STOP_WATCH = """
    from time import monotonic as watch, perf_counter

    from fastapi import BackgroundTasks, FastAPI

    app = FastAPI()
    seen = []


    def in_a_thread():
        seen.append((watch(), perf_counter()))


    async def on_the_loop():
        seen.append((watch(), perf_counter()))


    @app.post("/")
    async def endpoint(background_tasks: BackgroundTasks):
        for task in (in_a_thread, on_the_loop, in_a_thread, on_the_loop):
            background_tasks.add_task(task)
"""


async def test_stop_watches_go_on_and_never_run_backwards(environment, tmp_path_factory):
    """A duration measured across threads is real, and not negative."""
    with answer(tmp_path_factory.mktemp("tree"), STOP_WATCH) as module:
        async with client_of(module.app, environment) as client:
            with frozen_clock():
                before = (time.monotonic(), time.perf_counter())
                await client.post("/")
                after = (time.monotonic(), time.perf_counter())

    for which in (0, 1):
        watched = [before[which], *(pair[which] for pair in module.seen), after[which]]
        assert watched == sorted(watched)
        assert len(set(watched)) > 1, "it stands still"


async def test_the_dojo_s_own_patience_is_real(environment, frozen):
    """An hour that an answer slept is none that a spec has waited."""

    def happened() -> bool:
        frozen.tick(3600)
        return next(looks) == 3

    looks = iter(range(5))
    assert await until(happened)


async def test_each_sleep_moves_the_time_on_and_returns_at_once(environment, frozen):
    """An hour of waiting costs nothing here."""

    async def sleep_awaited() -> None:
        assert await asyncio.sleep(3600, "slept") == "slept"
        await anyio.sleep(60)

    before = time.monotonic()
    exchange = await run_tasks(environment, lambda: time.sleep(1.5), sleep_awaited)

    assert exchange.raised is None
    assert frozen.now == START + timedelta(seconds=3661.5)
    assert environment.timeline.of("sleep") == ["1.5 s", "3600 s", "60 s"]
    assert time.monotonic() - before < 60


async def test_only_the_sleep_that_blocks_blocks(environment, frozen):
    """`time.sleep` in a coroutine keeps everybody waiting, `asyncio.sleep` nobody."""

    async def sleep_both_ways() -> None:
        await asyncio.sleep(1)
        time.sleep(2)  # noqa: ASYNC251

    await run_tasks(environment, sleep_both_ways)

    assert environment.timeline.blocked() == ["sleep 2 s"]


CAPTURED = """
    from asyncio import sleep as later
    from time import sleep

    from fastapi import BackgroundTasks, FastAPI

    app = FastAPI()


    async def wait():
        await later(30)


    @app.post("/")
    async def endpoint(background_tasks: BackgroundTasks):
        background_tasks.add_task(sleep, 60)
        background_tasks.add_task(wait)
"""


async def test_sleeps_imported_by_name_are_captured_too(environment, tmp_path_factory):
    """`from time import sleep` is the same sleep."""
    with answer(tmp_path_factory.mktemp("tree"), CAPTURED) as module:
        async with client_of(module.app, environment) as client:
            with frozen_clock() as clock:
                await client.post("/")
                assert clock.now == START + timedelta(seconds=90)

    assert environment.timeline.of("sleep") == ["60 s", "30 s"]


async def sleep_awaited() -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("task", [sleep_awaited, lambda: time.sleep(60)], ids=["await", "thread"])
async def test_a_held_sleep_keeps_its_task_before_the_time_moves(environment, frozen, task):
    """The spec looks at the world while the task sleeps."""
    async with client_of(app_of_tasks(task), environment) as client:
        with frozen.hold() as sleeping:
            exchange = client.begin("POST", "/")
            await sleeping.until_reached()
            await client.give_turns()
            assert (frozen.now, exchange.finished) == (START, False)
            sleeping.release()
            await exchange.until_finished()

    assert frozen.now == START + timedelta(seconds=60)


async def test_a_negative_sleep_is_refused_as_ever(environment, frozen):
    """The stand-in is as strict as what it stands in for."""
    exchange = await run_tasks(environment, lambda: time.sleep(-1))

    assert isinstance(exchange.raised, ValueError)
    assert frozen.now == START


async def test_the_spec_s_own_sleeps_are_real(environment, frozen):
    """Only answers notice the stand-ins."""
    await asyncio.sleep(0.001)
    await anyio.sleep(0.001)
    time.sleep(0.001)  # noqa: ASYNC251

    assert frozen.now == START
    assert environment.timeline.of("sleep") == []


def test_after_the_spec_the_time_is_real_again():
    """Frozen time does not leak into the next spec, stop-watches neither."""
    real = {name: getattr(time, name) for name in ("time", "monotonic", "perf_counter")}
    with frozen_clock():
        assert datetime.now(UTC) == START

    assert {name: getattr(time, name) for name in real} == real
    assert "freezegun" not in type(datetime.now()).__module__
    assert sys.modules["datetime"].datetime is datetime


async def test_all_clocks_are_put_on_together(environment, tmp_path_factory):
    """Whatever a solution measures a duration with, it comes to the same."""
    source = """
        import asyncio
        import time
        from datetime import datetime, timezone
        from time import perf_counter

        from fastapi import FastAPI

        app = FastAPI()


        def read():
            return [
                datetime.now(timezone.utc).timestamp(),
                time.time(),
                time.time_ns() / 1e9,
                time.monotonic(),
                time.monotonic_ns() / 1e9,
                perf_counter(),
                time.perf_counter_ns() / 1e9,
                time.clock_gettime(time.CLOCK_MONOTONIC),
                time.clock_gettime_ns(time.CLOCK_MONOTONIC) / 1e9,
                asyncio.get_event_loop().time(),
            ]
    """
    with answer(tmp_path_factory.mktemp("tree"), source) as module, frozen_clock() as clock:
        async with client_of(module.app, environment):
            before = module.read()
            clock.let_pass(3600)
            passed = [
                int(after - b + 0.001) for b, after in zip(before, module.read(), strict=True)
            ]

    assert passed == [3600] * len(before)


def test_a_module_that_has_changed_since_the_last_clock_is_frozen_too(monkeypatch):
    """Modules that have not are not looked at again, which would take long."""
    module = ModuleType("a_module_of_a_solution")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with frozen_clock():
        pass
    vars(module)["datetime"] = datetime

    with frozen_clock():
        assert vars(module)["datetime"].now(UTC) == START
    assert vars(module)["datetime"] is datetime

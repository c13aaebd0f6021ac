"""Holds keep something from going on until the spec says so, and never for ever."""

import pytest

from dojo.harness.environment import client_of
from dojo.harness.holds import Hold
from selfcheck.worlds import app_of_tasks

pytestmark = pytest.mark.fast


@pytest.fixture
def hold(environment):
    return Hold("the work")


@pytest.fixture(params=["thread", "coroutine"])
def task(request, environment, hold):
    """A task that arrives at the hold, and says when it goes on."""

    def work() -> None:
        hold.stop_here()
        environment.timeline.record("passed")

    async def work_awaited() -> None:
        await hold.stop_here_async()
        environment.timeline.record("passed")

    return work if request.param == "thread" else work_awaited


async def test_what_is_held_goes_on_when_it_is_released(environment, hold, task):
    """And not before."""
    async with client_of(app_of_tasks(task), environment) as client:
        with hold:
            exchange = client.begin("POST", "/")
            await hold.until_reached()
            await client.give_turns()
            assert environment.timeline.of("passed") == []
            hold.release()
            await exchange.until_finished()

    assert environment.timeline.of("passed") == [""]


async def test_the_end_of_the_block_releases(environment, hold, task):
    """A spec that fails inside must not hang."""
    async with client_of(app_of_tasks(task), environment) as client:
        exchange = client.begin("POST", "/")
        await hold.until_reached()
        with pytest.raises(ZeroDivisionError), hold:
            raise ZeroDivisionError
        await exchange.until_finished()

    assert environment.timeline.of("passed") == [""]


async def test_a_hold_that_nobody_releases_fails_its_spec(environment, hold, task, monkeypatch):
    """It ends by itself, and what was to be shown has not been."""
    monkeypatch.setattr("dojo.harness.holds.SECONDS", 0.02)
    async with client_of(app_of_tasks(task), environment) as client:
        with (
            pytest.raises(AssertionError, match=r"the work was not released within 0\.03 s"),
            hold,
        ):
            await client.post("/")

    assert environment.timeline.of("passed") == [""]


async def test_what_never_comes_is_not_waited_for(environment, hold, monkeypatch):
    """When every exchange has finished, nothing more can come."""
    monkeypatch.setattr("dojo.harness.holds.SECONDS", 3600)
    async with client_of(app_of_tasks(), environment) as client:
        with hold:
            await client.post("/")
            with pytest.raises(
                AssertionError, match="the work never began: every request had finished without it"
            ):
                await hold.until_reached()


async def test_what_comes_too_seldom_is_told(environment, hold, task, monkeypatch):
    """The message counts."""
    monkeypatch.setattr("dojo.harness.holds.SECONDS", 0.05)
    hold.limit = 2
    async with client_of(app_of_tasks(task), environment) as client:
        exchange = client.begin("POST", "/")
        with pytest.raises(AssertionError, match="began 1 times, and not 2 times, before"):
            await hold.until_reached(2)
        hold.release()
        await exchange.until_finished()


async def test_a_blocked_loop_is_told_and_not_stopped(environment, hold):
    """Nothing could release it."""

    async def work_on_the_loop() -> None:
        hold.stop_here()
        environment.timeline.record("passed")

    async with client_of(app_of_tasks(work_on_the_loop), environment) as client:
        with hold:
            exchange = client.begin("POST", "/")
            with pytest.raises(AssertionError, match="the work was on the event loop's thread"):
                await hold.until_reached()
            await exchange.until_finished()

    assert environment.timeline.of("passed") == [""]


async def test_only_as_many_as_wanted_are_held(environment, hold, task):
    """The others overtake."""
    async with client_of(app_of_tasks(task), environment) as client:
        with hold:
            held = client.begin("POST", "/")
            await hold.until_reached()
            passing = (await client.post("/")).exchange
            assert (held.finished, passing.finished) == (False, True)
            hold.release()
            await held.until_finished()


async def test_all_that_can_finish_does(environment, hold, task):
    """`finish_what_can` leaves what is held, and returns."""
    async with client_of(app_of_tasks(task), environment) as client:
        with hold:
            exchanges = [client.begin("POST", "/", stop_at_response=True) for _ in range(3)]
            for exchange in exchanges:
                await exchange.until_responded()
            await client.finish_what_can(exchanges)
            assert sorted(exchange.finished for exchange in exchanges) == [False, True, True]
            hold.release()
            for exchange in exchanges:
                await exchange.until_finished()

"""Calls are held one by one, and counted."""

import asyncio

import httpx
import pytest

from dojo.harness.environment import client_of
from selfcheck.worlds import app_of_tasks

pytestmark = pytest.mark.fast
URLS = [f"https://{name}.example.com/" for name in ("ada", "grace", "linus")]


async def call_all() -> None:
    async with httpx.AsyncClient(timeout=5) as client:
        await asyncio.gather(*(client.post(url) for url in URLS))


async def call_one_by_one() -> None:
    async with httpx.AsyncClient(timeout=5) as client:
        for url in URLS:
            await client.post(url)


def call_in_a_thread() -> None:
    for url in URLS:
        httpx.post(url, timeout=5)


async def call_on_the_loop() -> None:
    call_in_a_thread()


@pytest.fixture(autouse=True)
def there(environment):
    for url in URLS:
        environment.services.on("POST", url)


async def test_calls_at_a_time_are_held_each_by_itself(environment):
    """One of them may end while the others wait."""
    async with client_of(app_of_tasks(call_all), environment) as client:
        async with client.in_flight("POST", "/") as exchange:
            with environment.services.hold_each() as calls:
                await calls.until(3)
                calls.release(URLS[1])
                assert calls.urls == [URLS[0], URLS[2]]
                calls.release()
                assert calls.urls == [URLS[2]]
                assert await exchange.until_held()

        assert calls.most == 3


@pytest.mark.parametrize("task", [call_one_by_one, call_in_a_thread])
async def test_calls_in_turn_are_one_at_a_time(environment, task):
    """And to wait for more of them is in vain."""
    async with client_of(app_of_tasks(task), environment) as client:
        async with client.in_flight("POST", "/"):
            with environment.services.hold_each() as calls:
                for url in URLS:
                    await calls.until(1)
                    assert calls.urls == [url]
                    calls.release(url)
                with pytest.raises(AssertionError, match=r"0 calls were .* and not 1, when every"):
                    await calls.until(1)
                with pytest.raises(AssertionError, match="no call to any service is under way"):
                    calls.release()

        assert calls.most == 1


async def test_a_call_on_the_loop_is_not_held(environment):
    """Nothing could release it."""
    calls = environment.services.hold_each()
    async with client_of(app_of_tasks(call_on_the_loop), environment) as client:
        await client.post("/")
        with calls, pytest.raises(AssertionError, match="on the event loop's thread"):
            await calls.until(2)


async def test_after_the_block_nothing_is_held(environment):
    """Calls that come later pass."""
    async with client_of(app_of_tasks(call_all), environment) as client:
        with environment.services.hold_each() as calls:
            pass
        await client.post("/")

    assert calls.urls == []

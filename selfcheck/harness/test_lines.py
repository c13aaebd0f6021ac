"""A thread of a solution is held between two of its lines, and a coroutine is not."""

from __future__ import annotations

import sys
import threading

import pytest

from dojo.harness.environment import client_of
from dojo.harness.lines import traced
from selfcheck.worlds import answer

pytestmark = pytest.mark.fast
COUNTER = """
    from fastapi import BackgroundTasks, FastAPI

    app = FastAPI()
    last = 0


    def task():
        return None


    @app.post("/")
    {} endpoint(tasks: BackgroundTasks):
        global last
        number = last + 1
        last = number
        tasks.add_task(task)
        return number
"""


async def numbers(environment, source: str) -> list[tuple[int, int, bool]]:
    """What two requests are told, the first of them held before each of its lines in turn."""
    seen = []
    with answer(environment.directory, source) as module, traced() as lines:
        async with client_of(module.app, environment) as client:
            for line in range(10):
                with lines.hold(line) as hold:
                    first = client.begin("POST", "/")
                    await first.until_held()
                    second = client.begin("POST", "/")
                    await client.finish_what_can([first, second])
                await first.until_finished()
                await second.until_finished()
                seen.append((first.response.json(), second.response.json(), bool(hold.reached)))
                if not hold.reached:
                    break
    return seen


async def test_a_def_endpoint_is_held_before_each_of_its_lines(environment):
    """Between looking and setting two requests get one number; the task is left alone."""
    assert await numbers(environment, COUNTER.format("def")) == [
        (2, 1, True),
        (3, 3, True),
        (4, 5, True),
        (6, 7, True),
        (8, 9, False),
    ]


async def test_a_coroutine_is_not_held(environment):
    """It cannot be interrupted there in life either."""
    assert await numbers(environment, COUNTER.format("async def")) == [(1, 2, False)]


def test_another_tracer_keeps_its_place():
    """A debugger and a measurement of coverage trace threads, too."""
    tracer = lambda *_: None  # noqa: E731
    before = threading.gettrace()
    threading.settrace(tracer)
    try:
        with traced():
            assert threading.gettrace() is tracer
    finally:
        threading.settrace(before)


@pytest.mark.skipif(sys.gettrace() is not None, reason="something traces this run already")
def test_threads_are_traced_no_longer_than_needed():
    """Each call in a thread takes longer meanwhile."""
    before = threading.gettrace()
    with traced():
        assert threading.gettrace() is not before

    assert threading.gettrace() is before

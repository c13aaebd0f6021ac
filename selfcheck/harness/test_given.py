"""A function that the stub gives is held or replaced wherever a solution keeps it."""

import asyncio

import pytest

from dojo.harness.given import Given
from selfcheck.worlds import answer

pytestmark = pytest.mark.fast
KEPT = """
    import functools

    from fastapi import FastAPI

    app = FastAPI()

    def write(path, text="nothing"):
        return f"{text} in {path}"

    partial = functools.partial(write, "a")

    def default(work=write):
        return work("b", text="something")
"""


@pytest.fixture
def module(environment, tmp_path):
    with answer(tmp_path, KEPT) as module:
        yield module


def test_a_function_is_replaced_wherever_it_is_kept(module):
    """In a partial, in a default, by its name."""
    Given(module).replace("write", lambda path, text="unsaid": (path, text))

    assert module.write("c") == ("c", "unsaid")
    assert module.partial() == ("a", "unsaid")
    assert module.default() == ("b", "something")


def test_what_it_raises_comes_out(module):
    """With the function's name in the traceback."""

    def fail(*args):
        raise ValueError("no")

    Given(module).replace("write", fail)

    with pytest.raises(ValueError, match="no") as raised:
        module.partial()
    assert [frame.name for frame in raised.traceback][-2:] == ["write", "fail"]


async def test_a_function_is_held_and_then_does_its_work(module):
    """Its defaults are its own."""
    with Given(module).hold("write") as held:
        work = asyncio.get_running_loop().run_in_executor(None, module.partial)
        await held.until_reached()
        assert not work.done()
        held.release()
        assert await work == "nothing in a"


def test_a_function_that_is_gone_is_missed(module):
    """The message says what to do."""
    del module.write

    with pytest.raises(AssertionError, match=r"gives the function `write`.* put it back"):
        Given(module).hold("write")

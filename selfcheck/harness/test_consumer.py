"""A consumer runs the jobs of a solution's queue when it is asked to, by the clock of the spec."""

import asyncio
import contextlib
import sqlite3
import textwrap

import pytest

from dojo.catalogue import Kata
from dojo.doubles.clock import frozen_clock
from dojo.harness.consumer import Consumer
from dojo.harness.environment import client_of, loaded

pytestmark = pytest.mark.fast
SOLUTION = """
    import threading
    import time
    from contextlib import asynccontextmanager

    from fastapi import FastAPI
    from huey import SqliteHuey

    queue = SqliteHuey("spec", filename="queue.db")
    done = []

    @queue.task(retries=1, retry_delay=60)
    def work(number, word="tea"):
        done.append((number, word))
        with open("done.txt", "a") as file:
            file.write(f"{number} {word} {len(done)}\\n")
        if word == "sleeps":
            time.sleep(600)
        if word == "fails":
            raise RuntimeError("no tea")

    @asynccontextmanager
    async def lifespan(app):
        if MODE == "a thread":
            thread = threading.Thread(target=queue.dequeue)
            thread.start()
            thread.join()
        if MODE == "a consumer":
            queue.create_consumer().start()
        yield

    app = FastAPI(lifespan=lifespan)
    MODE = "none"

    @app.post("/{number}")
    def endpoint(number: int, word: str = "tea", delay: int = 0):
        if delay:
            work.schedule((number, word), delay=delay)
        else:
            work(number, word=word)
"""


@contextlib.contextmanager
def a_solution(environment, tmp_path, mode="none"):
    """A solution with a queue, and a consumer of it."""
    kata = Kata(tmp_path, "k99_queue", "Queue", "white", 1, 1, ("", "", ""))
    file = tmp_path / kata.name / "app.py"
    file.parent.mkdir()
    source = textwrap.dedent(SOLUTION).replace('MODE = "none"', f"MODE = {mode!r}")
    file.write_text(source, encoding="utf-8")
    with loaded(kata, file) as module, contextlib.ExitStack() as stack:
        yield module, Consumer(environment, lambda: stack.enter_context(loaded(kata, file)))


async def test_jobs_are_run_when_they_are_due(environment, tmp_path):
    """With nothing of the memory of the process that has queued them."""
    with a_solution(environment, tmp_path) as (module, consumer), frozen_clock() as clock:
        async with client_of(module.app, environment) as client:
            await client.post("/1")
            await client.post("/2?delay=30")
            assert [(job.name, job.arguments) for job in consumer.waiting()] == [
                ("work", (1, "tea")),
                ("work", (2, "tea")),
            ]
            assert await consumer.run() == 1
            clock.tick(29)
            assert await consumer.run() == 0
            clock.tick(1)
            assert await consumer.run() == 1

    assert environment.disk.lines("done.txt") == ["1 tea 1", "2 tea 2"]
    assert module.done == []
    assert environment.timeline.order("enqueued", "response", "job") == [
        *["enqueued", "response"] * 2,
        "job",
    ]


async def test_a_job_that_fails_is_tried_again_by_the_queue(environment, tmp_path):
    """A minute later, and what came out of it is known."""
    with a_solution(environment, tmp_path) as (module, consumer), frozen_clock() as clock:
        async with client_of(module.app, environment) as client:
            await client.post("/1?word=fails")
            runs = [await consumer.run()]
            for _ in range(3):
                clock.tick(60)
                runs.append(await consumer.run())

    assert runs == [1, 1, 0, 0]
    assert [str(error) for error in consumer.errors] == ["no tea", "no tea"]
    assert consumer.waiting() == []


async def test_a_job_can_be_delivered_twice(environment, tmp_path):
    """A sleep in it takes no time, and is noted."""
    with a_solution(environment, tmp_path) as (module, consumer), frozen_clock():
        async with client_of(module.app, environment) as client:
            await client.post("/1?word=sleeps")
            job = consumer.take()
            assert job is not None
            assert consumer.take() is None
            await consumer.deliver(job)
            await consumer.deliver(job)

    assert environment.disk.lines("done.txt") == ["1 sleeps 1", "1 sleeps 2"]
    assert environment.timeline.of("sleep") == ["600 s", "600 s"]


async def test_a_queue_may_refuse_jobs(environment, tmp_path):
    """With the error that the spec gives, until it accepts them again."""
    with a_solution(environment, tmp_path) as (module, consumer):
        async with client_of(module.app, environment) as client:
            consumer.refuse_jobs(sqlite3.OperationalError("disk full"))
            refused = await client.post("/1", crashes=True)
            consumer.accept_jobs()
            await client.post("/2")

        assert isinstance(refused.exchange.raised, sqlite3.OperationalError)
        assert [job.arguments for job in consumer.waiting()] == [(2, "tea")]


@pytest.mark.parametrize(
    ("mode", "taken"),
    [
        ("none", []),
        ("a thread", ["Huey.dequeue"]),
        ("a consumer", ["Consumer.start"]),
    ],
)
async def test_who_else_takes_jobs_is_known(environment, tmp_path, mode, taken):
    """A consumer of huey's own is not started: it would win or lose by luck."""
    with a_solution(environment, tmp_path, mode) as (module, consumer):
        async with client_of(module.app, environment):
            assert await consumer.taken_by_others() == taken


def test_a_queue_that_runs_jobs_at_once_leaves_none(environment, tmp_path):
    """They have run in the process that queued them."""
    with a_solution(environment, tmp_path) as (module, consumer):
        module.queue.immediate = True
        module.work(1)
        assert asyncio.run(consumer.run()) == 0

    assert module.done == [(1, "tea")]

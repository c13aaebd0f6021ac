"""The observer of CSV sees who takes a table apart on the event loop."""

import asyncio
import csv
import io

import pytest

from selfcheck.worlds import run_tasks

pytestmark = pytest.mark.fast

WAYS = {
    "reader": ("csv reader", lambda: list(csv.reader(["sku"]))),
    "DictReader": ("csv reader", lambda: list(csv.DictReader(["sku", "tea"]))),
    "writer": ("csv writer", lambda: csv.writer(io.StringIO()).writerow(["sku"])),
    "DictWriter": ("csv writer", lambda: csv.DictWriter(io.StringIO(), ["sku"]).writeheader()),
}


@pytest.mark.parametrize(("event", "work"), WAYS.values(), ids=WAYS)
async def test_a_table_on_the_loop_blocks_and_one_in_a_thread_does_not(environment, event, work):
    """A table of a month takes as long as a file of it."""

    async def in_a_thread() -> None:
        await asyncio.to_thread(work)

    async def on_the_loop() -> None:
        work()

    await run_tasks(environment, in_a_thread, work)
    assert environment.timeline.of("csv") == []

    await run_tasks(environment, on_the_loop)
    assert environment.timeline.blocked() == [event]

"""An exchange is stopped before each step of its tasks, and others can look at what there is."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from dojo.doubles.clock import Zone
from dojo.harness import patches
from dojo.harness.environment import client_of
from dojo.harness.steps import Steps
from selfcheck.worlds import answer, app_of_tasks

pytestmark = pytest.mark.fast


async def steps_of(environment, *tasks):
    """What comes next at each step, and the files that are there then."""
    seen = []
    async with client_of(app_of_tasks(*tasks), environment) as client:
        exchange = client.begin("POST", "/", stop_at_response=True)
        await exchange.until_responded()
        async for step in Steps(environment).of(exchange):
            await client.get("/nothing")
            seen.append((step, environment.disk.files()))
        assert exchange.finished
    return seen


async def test_a_task_is_stopped_before_each_change_on_the_disk(environment):
    """A folder, a file, each piece of it, and a move."""

    def work() -> None:
        Path("reports").mkdir()
        with Path("reports", "new").open("wb", buffering=0) as file:
            file.write(b"one")
            file.write(b"two")
        Path("reports", "new").rename("reports/old")

    assert await steps_of(environment, work) == [
        ("the writing of reports", []),
        ("the writing of reports/new", []),
        ("the writing of reports/new", ["reports/new"]),
        ("the writing of reports/new", ["reports/new"]),
        ("the writing of reports/old", ["reports/new"]),
    ]


async def test_a_task_is_stopped_before_an_image_is_decoded(environment):
    """Before `image.load`, whoever calls it."""
    patches.apply_for(b"PIL")
    file = BytesIO()
    Image.new("L", (2, 2)).save(file, "PNG")

    def work() -> None:
        Image.open(file).resize((1, 1))

    assert await steps_of(environment, work) == [("the decoding of the image", [])]


DATABASE = """
    from fastapi import FastAPI
    from sqlalchemy import create_engine, text

    app = FastAPI()
    engine = create_engine("sqlite:///shop.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE cats (name)"))


    def work():
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO cats VALUES ('Tom')"))
            connection.execute(text("SELECT * FROM cats"))
"""


async def test_a_task_is_stopped_before_each_statement_and_commit(environment, tmp_path):
    """Also where nobody waits for what it has locked."""
    with answer(tmp_path, DATABASE) as module:
        seen = await steps_of(environment, module.work)

    assert [step for step, _ in seen] == ["a statement or a commit"] * 3


async def test_a_task_without_steps_is_not_stopped(environment):
    """It has finished, and there was nothing to look at."""
    assert await steps_of(environment, lambda: None) == []


async def test_a_task_is_stopped_before_each_change_of_a_table(environment):
    """And at nothing else, where a spec asks for that."""
    patches.apply_for(b"sqlalchemy")
    from sqlalchemy import create_engine, text

    engine = create_engine("sqlite:///shop.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE users (name)"))
        connection.execute(text("CREATE TABLE others (name)"))

    def work() -> None:
        for table in ("users", "others", "users"):
            with engine.begin() as connection:
                connection.execute(text(f"INSERT INTO {table} VALUES ('ada')"))

    seen = []
    async with client_of(app_of_tasks(work), environment) as client:
        exchange = client.begin("POST", "/", stop_at_response=True)
        await exchange.until_responded()
        async for step in Steps(environment).of(exchange, changes="users"):
            seen.append((step, environment.database.rows("SELECT count(*) FROM users")))

    assert seen == [("the change of the table users", [(number,)]) for number in (0, 1)]


async def test_no_pixels_can_be_decoded_in_the_dark(environment):
    """What is asked of a large image costs nothing."""
    patches.apply_for(b"PIL")
    file = BytesIO()
    Image.new("L", (2, 2)).save(file, "PNG")
    said = []

    def work() -> None:
        image = Image.open(file)
        said.append(image.size)
        with pytest.raises(OSError, match="truncated"):
            image.load()

    environment.image_decoder.go_dark()
    await steps_of(environment, work)

    assert said == [(2, 2)]
    assert environment.timeline.of("decode") == ["2x2 PNG"]


async def test_there_is_no_space_for_a_text(environment):
    """Whichever file it is in; other files can be written."""

    def work() -> None:
        Path("state.json").write_text("{}")
        with pytest.raises(OSError, match="No space"):
            Path("report.csv").write_text("sku,quantity,revenue_cents")

    refused = environment.disk.fill_up_for("revenue_cents")
    await steps_of(environment, work)

    assert set(refused) == {"report.csv"}
    assert environment.disk.text("state.json") == "{}"


def test_the_machine_is_in_a_foreign_zone():
    """And back where it was afterwards."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    home = noon.astimezone().utcoffset()
    with Zone().foreign():
        there = noon.astimezone()

    assert there.hour == 21
    assert noon.astimezone().utcoffset() == home

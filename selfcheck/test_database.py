"""The observer of the database names what is committed, and sees whom a statement blocks."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from worlds import app_of_tasks, run_tasks

from dojo import database as databases
from dojo.stage import client_of


@pytest.fixture
def engine(scene):
    """An engine as answers have it, with two tables."""
    databases.install()
    engine = create_engine("sqlite:///shop.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE users (name)"))
        connection.execute(text("CREATE TABLE orders (sku)"))
    yield engine
    engine.dispose()


def users(scene) -> list[str]:
    return [name for (name,) in scene.database.rows("SELECT name FROM users")]


async def test_a_commit_is_named_after_the_tables_it_changes(scene, engine):
    """Each once, in the order of the first change."""

    def buy() -> None:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO users VALUES ('ada')"))
            connection.execute(text("UPDATE orders SET sku = 'tea'"))
            connection.execute(text("DELETE FROM users WHERE name = 'eve'"))
            connection.execute(text("SELECT * FROM orders"))

    await run_tasks(scene, buy)

    assert scene.timeline.of("commit") == ["users, orders"]
    assert scene.timeline.order("response", "commit") == ["response", "commit"]
    assert scene.timeline.blocked() == []


async def test_what_is_rolled_back_or_only_read_is_no_commit(scene, engine):
    """Nothing has changed."""

    def change_your_mind() -> None:
        with engine.connect() as connection:
            connection.execute(text("INSERT INTO users VALUES ('ada')"))
            connection.rollback()
            connection.execute(text("SELECT * FROM users"))
            connection.commit()

    await run_tasks(scene, change_your_mind)

    assert scene.timeline.of("commit") == []
    assert users(scene) == []


async def test_statements_on_the_loop_block_after_the_response(scene, engine):
    """Reading blocks as much as writing does."""

    async def on_the_loop() -> None:
        with engine.begin() as connection:
            connection.execute(text("SELECT  name\nFROM users"))
            connection.execute(text("INSERT INTO users VALUES ('ada')"))

    await run_tasks(scene, on_the_loop)

    assert scene.timeline.blocked() == [
        "query users",
        "statement INSERT INTO users VALUES ('ada')",
        "commit users",
    ]


async def test_only_committed_rows_are_seen(scene, engine):
    """The spec looks through a connection of its own."""
    seen = []

    def add() -> None:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO users VALUES ('ada')"))
            seen.append(users(scene))

    await run_tasks(scene, add)

    assert (seen, users(scene)) == ([[]], ["ada"])


def test_rows_are_put_in_and_read_with_values(scene, engine):
    """Names and marks."""
    scene.database.insert("users", {"name": "ada"}, {"name": "grace"})

    assert scene.database.rows("SELECT name FROM users WHERE name = ?", "ada") == [("ada",)]


def test_where_there_is_no_database_there_are_no_rows(scene):
    """And looking does not make one."""
    assert users(scene) == []
    assert list(scene.directory.iterdir()) == []


def add_ada(engine):
    def add() -> None:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO users VALUES ('ada')"))

    return add


def read(engine):
    def read() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT * FROM users")).all()

    return read


@pytest.mark.parametrize(("how", "work"), [("changes", add_ada), ("queries", read)])
async def test_a_held_statement_waits(scene, engine, how, work):
    """The others pass, and what is not named passes."""
    hold = getattr(scene.database, f"hold_{how}")
    async with client_of(app_of_tasks(work(engine)), scene) as client:
        with hold("orders") as never, hold("users") as about_to:
            exchange = client.begin("POST", "/")
            await about_to.until_reached()
            await client.give_turns()
            assert (users(scene), exchange.finished) == ([], False)
            about_to.release()
            await exchange.until_finished()

    assert never.reached == 0


async def test_queries_fail_until_they_are_mended(scene, engine):
    """As with a disk in trouble."""
    scene.database.fail_queries("users")
    broken = await run_tasks(scene, read(engine))
    scene.database.heal()
    mended = await run_tasks(scene, read(engine))

    assert isinstance(broken.raised, OperationalError)
    assert mended.raised is None


async def test_a_change_passes_where_only_queries_fail(scene, engine):
    """One trouble at a time."""
    scene.database.fail_queries("users")

    exchange = await run_tasks(scene, add_ada(engine))

    assert exchange.raised is None
    assert users(scene) == ["ada"]

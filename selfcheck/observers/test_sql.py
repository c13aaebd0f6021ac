"""The observer of the database names what is committed, and sees whom a statement blocks."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from dojo.harness import patches
from dojo.harness.environment import client_of
from dojo.harness.holds import held
from dojo.observers.connections import about_to_connect
from selfcheck.worlds import app_of_tasks, app_with, run_tasks

pytestmark = pytest.mark.fast


@pytest.fixture
def engine(environment):
    """An engine as answers have it, with two tables."""
    patches.apply_for(b"sqlalchemy")
    engine = create_engine("sqlite:///shop.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE users (name)"))
        connection.execute(text("CREATE TABLE orders (sku)"))
    yield engine
    engine.dispose()


def users(environment) -> list[str]:
    return [name for (name,) in environment.database.rows("SELECT name FROM users")]


async def test_a_commit_is_named_after_the_tables_it_changes(environment, engine):
    """Each once, in the order of the first change."""

    def buy() -> None:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO users VALUES ('ada')"))
            connection.execute(text("UPDATE orders SET sku = 'tea'"))
            connection.execute(text("DELETE FROM users WHERE name = 'eve'"))
            connection.execute(text("SELECT * FROM orders"))

    await run_tasks(environment, buy)

    assert environment.timeline.of("commit") == ["users, orders"]
    assert environment.timeline.order("response", "commit") == ["response", "commit"]
    assert environment.timeline.blocked() == []


async def test_what_is_rolled_back_or_only_read_is_no_commit(environment, engine):
    """Nothing has changed."""

    def change_your_mind() -> None:
        with engine.connect() as connection:
            connection.execute(text("INSERT INTO users VALUES ('ada')"))
            connection.rollback()
            connection.execute(text("SELECT * FROM users"))
            connection.commit()

    await run_tasks(environment, change_your_mind)

    assert environment.timeline.of("commit") == []
    assert users(environment) == []


async def test_statements_on_the_loop_block_after_the_response(environment, engine):
    """Reading blocks as much as writing does."""

    async def on_the_loop() -> None:
        with engine.begin() as connection:
            connection.execute(text("SELECT  name\nFROM users"))
            connection.execute(text("INSERT INTO users VALUES ('ada')"))

    await run_tasks(environment, on_the_loop)

    assert environment.timeline.blocked() == [
        "query users",
        "statement INSERT INTO users VALUES ('ada')",
        "commit users",
    ]


FETCHES = {
    "all": lambda cursor: cursor.fetchall(),
    "many": lambda cursor: cursor.fetchmany(size=2),
    "one": lambda cursor: cursor.fetchone(),
    "each": lambda cursor: list(cursor),
}


@pytest.mark.parametrize("fetch", FETCHES.values(), ids=FETCHES)
async def test_rows_that_a_thread_asked_for_block_when_the_loop_fetches_them(
    environment, engine, fetch
):
    """SQLite looks for the rows while they are fetched. What is fetched where it was asked for is
    noted as a query already."""

    async def on_the_loop() -> None:
        with closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            await asyncio.to_thread(cursor.execute, "SELECT name FROM users")
            fetch(cursor)
            fetch(cursor)
            await asyncio.to_thread(cursor.execute, "SELECT sku FROM orders")
            await asyncio.to_thread(fetch, cursor)

    def in_a_thread() -> None:
        with closing(engine.raw_connection()) as connection:
            fetch(connection.cursor().execute("SELECT name FROM users"))

    await run_tasks(environment, on_the_loop, in_a_thread)

    assert environment.timeline.blocked() == ["statement the rows of SELECT name FROM users"]


async def test_only_committed_rows_are_seen(environment, engine):
    """The spec looks through a connection of its own."""
    seen = []

    def add() -> None:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO users VALUES ('ada')"))
            seen.append(users(environment))

    await run_tasks(environment, add)

    assert (seen, users(environment)) == ([[]], ["ada"])


def test_rows_are_put_in_and_read_with_values(environment, engine):
    """Names and marks."""
    environment.database.insert("users", {"name": "ada"}, {"name": "grace"})

    assert environment.database.rows("SELECT name FROM users WHERE name = ?", "ada") == [("ada",)]


def test_where_there_is_no_database_there_are_no_rows(environment):
    """And looking does not make one."""
    assert users(environment) == []
    assert list(environment.directory.iterdir()) == []


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
async def test_a_held_statement_waits(environment, engine, how, work):
    """The others pass, and what is not named passes."""
    hold = getattr(environment.database, f"hold_{how}")
    async with client_of(app_of_tasks(work(engine)), environment) as client:
        with hold("orders") as never, hold("users") as about_to:
            exchange = client.begin("POST", "/")
            await about_to.until_reached()
            await client.give_turns()
            assert (users(environment), exchange.finished) == ([], False)
            about_to.release()
            await exchange.until_finished()

    assert never.reached == 0


async def test_queries_fail_until_they_are_mended(environment, engine):
    """As with a disk in trouble."""
    environment.database.fail_queries("users")
    broken = await run_tasks(environment, read(engine))
    environment.database.heal()
    mended = await run_tasks(environment, read(engine))

    assert isinstance(broken.raised, OperationalError)
    assert mended.raised is None


async def test_a_change_passes_where_only_queries_fail(environment, engine):
    """One trouble at a time."""
    environment.database.fail_queries("users")

    exchange = await run_tasks(environment, add_ada(engine))

    assert exchange.raised is None
    assert users(environment) == ["ada"]


def core(engine, statement):
    """As people write it with SQLAlchemy."""
    with engine.begin() as connection:
        connection.execute(text(statement))


def raw(engine, statement):
    """As people write it with the connection of the driver."""
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute(statement)
        connection.commit()


def script(engine, statement):
    """As people write several at once."""
    with closing(engine.raw_connection()) as connection:
        connection.cursor().executescript(f"BEGIN; {statement}; COMMIT;")


def by_itself(engine, statement):
    """Where each statement commits."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement)


def in_a_with(engine, statement):
    """Where the connection of the driver commits."""
    with closing(engine.raw_connection()) as connection, connection.driver_connection as driver:
        driver.execute(statement)


WAYS = [core, raw, script, by_itself, in_a_with]
QUERIES = [
    "SELECT count(*) FROM orders",
    "-- how many\nSELECT sku FROM orders",
    "WITH sold AS (SELECT sku FROM orders) SELECT * FROM sold",
    "SELECT * FROM skus",
    "SELECT EXISTS (SELECT 1 FROM orders)",
    "INSERT INTO users SELECT sku FROM skus",
]
CHANGES = [
    "REPLACE INTO orders VALUES ('tea')",
    "INSERT INTO orders VALUES ('tea') RETURNING sku",
    "/* tea */ UPDATE orders SET sku = 'tea' WHERE sku = 'tee'",
    "WITH old AS (SELECT 'tee' AS sku) DELETE FROM orders WHERE sku IN (SELECT sku FROM old)",
    "INSERT INTO skus VALUES ('tea')",
    "ALTER TABLE orders RENAME TO old_orders",
]


@pytest.fixture
def view(engine):
    """A view of the orders, which can be written to."""
    with engine.begin() as connection:
        connection.execute(text("CREATE VIEW skus AS SELECT sku FROM orders"))
        connection.execute(
            text(
                "CREATE TRIGGER add_sku INSTEAD OF INSERT ON skus "
                "BEGIN INSERT INTO orders VALUES (new.sku); END"
            )
        )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("statement", QUERIES)
async def test_a_query_is_seen_however_it_is_written(environment, engine, view, statement, way):
    """SQLite says what a statement reads; its text does not."""
    with environment.database.hold_queries("orders") as about_to:
        async with client_of(app_of_tasks(lambda: way(engine, statement)), environment) as client:
            exchange = client.begin("POST", "/")
            await about_to.until_reached()
            about_to.release()
            await exchange.until_finished()

    assert environment.timeline.order("response", "query orders") == ["response", "query orders"]
    assert "orders" not in ", ".join(environment.timeline.of("commit"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("statement", CHANGES)
async def test_a_change_is_seen_however_it_is_written(environment, engine, view, statement, way):
    """And so is its commit, whoever says it."""
    with environment.database.hold_changes("orders") as about_to:
        async with client_of(app_of_tasks(lambda: way(engine, statement)), environment) as client:
            exchange = client.begin("POST", "/")
            await about_to.until_reached()
            assert environment.timeline.of("commit") == []
            about_to.release()
            await exchange.until_finished()

    (committed,) = environment.timeline.of("commit")
    assert "orders" in committed


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("statement", [QUERIES[0], CHANGES[0]])
async def test_whatever_is_executed_on_the_loop_blocks(environment, engine, way, statement):
    """Past SQLAlchemy, too."""

    async def on_the_loop() -> None:
        way(engine, statement)

    await run_tasks(environment, on_the_loop)

    assert environment.timeline.blocked() != []


async def test_a_task_is_held_at_each_of_its_steps(environment, engine):
    """Its statements and the commits of what it has changed, whatever the table."""

    def buy() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT * FROM users"))
            connection.execute(text("INSERT INTO orders VALUES ('tea')"))
            connection.commit()
            connection.execute(text("DELETE FROM users"))
            connection.commit()
            connection.commit()

    seen = []
    async with client_of(app_of_tasks(buy), environment) as client:
        for number in range(10):
            with environment.database.hold_step(number) as held_up:
                exchange = client.begin("POST", "/")
                stopped = await exchange.until_held()
                assert (stopped, exchange.finished) == (bool(held_up.reached), not stopped)
                seen.append(len(environment.database.rows("SELECT * FROM orders")) - number)
            await exchange.until_finished()
            if not stopped:
                break

    assert seen == [0, 0, 0, 1, 1, 1]


async def test_steps_are_those_before_the_response_where_a_spec_wants_that(environment, engine):
    """An endpoint can be held as its task can, and one exchange at a time."""

    def endpoint() -> None:
        core(engine, "INSERT INTO users VALUES ('ada')")

    async with client_of(app_with(endpoint), environment) as client:
        with (
            environment.database.hold_step(0) as never,
            environment.database.hold_step(1, in_task=False) as held_up,
        ):
            first = client.begin("POST", "/")
            await held_up.until_reached()
            second = client.begin("POST", "/")
            await client.finish_what_can([first, second])
            assert (first.finished, held(second.number)) == (False, held_up)
            held_up.release()
            await first.until_finished()
            await second.until_finished()

    assert never.reached == 0
    assert users(environment) == ["ada", "ada"]


IMMEDIATELY = """
    BEGIN IMMEDIATE; INSERT INTO users VALUES ('{0}'); INSERT INTO orders VALUES ('{0}'); COMMIT
"""


@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_who_waits_for_what_a_held_one_has_locked_counts_as_held(environment, engine, mode):
    """SQLite would wait for five seconds, and then say that the database is locked."""
    by_itself(engine, f"PRAGMA journal_mode={mode}")
    names = iter(["ada", "grace"])

    def register() -> None:
        name = next(names)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in IMMEDIATELY.format(name).split(";"):
                connection.exec_driver_sql(statement)

    async with client_of(app_of_tasks(register), environment) as client:
        with environment.database.hold_changes("orders") as about_to:
            first = client.begin("POST", "/")
            await about_to.until_reached()
            second = client.begin("POST", "/")
            await client.finish_what_can([first, second])
            held_at = [held(second.number)]
            assert held_at == [about_to]
            assert users(environment) == []
            about_to.release()
            await first.until_finished()
            await second.until_finished()

    assert (first.raised, second.raised) == (None, None)
    assert users(environment) == ["ada", "grace"]
    assert not about_to.overdue, "nobody has waited for something to run out"


async def test_what_waits_on_the_loop_lets_the_held_one_go_on(environment, engine):
    """Nobody else could: the spec runs on that loop, too."""

    def slowly() -> None:
        core(engine, "INSERT INTO orders VALUES ('tea')")

    app = app_of_tasks(slowly)

    @app.post("/at-once")
    async def at_once() -> None:
        core(engine, "INSERT INTO users VALUES ('ada')")

    async with client_of(app, environment) as client:
        with environment.database.hold_step(1) as about_to_commit:
            slow = client.begin("POST", "/")
            await about_to_commit.until_reached()
            await client.post("/at-once")
            await slow.until_finished()

    assert (users(environment), slow.raised) == (["ada"], None)


async def test_waiting_in_vain_fails_at_once_as_it_does_without_a_spec(environment, engine):
    """Who has read in a transaction and is overtaken cannot write in it, however long it waits."""
    by_itself(engine, "PRAGMA journal_mode=wal")

    def look_and_write() -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("SELECT * FROM users").all()
            connection.exec_driver_sql("INSERT INTO users VALUES ('ada')")
            connection.exec_driver_sql("COMMIT")

    async with client_of(app_of_tasks(look_and_write), environment) as client:
        with environment.database.hold_step(1) as about_to_write:
            first = client.begin("POST", "/")
            await about_to_write.until_reached()
            second = (await client.post("/")).exchange
            about_to_write.release()
            await first.until_finished()

    assert isinstance(first.raised, OperationalError)
    assert (second.raised, users(environment)) == (None, ["ada"])


@pytest.mark.parametrize("own", [sqlite3.Connection, type("Own", (sqlite3.Connection,), {})])
def test_parameters_that_are_kept_for_the_next_connection_are_observed_once(engine, own):
    """SQLAlchemy 2.0.40 has one set of them for all connections of an engine."""
    parameters = {"factory": own}
    made = []
    for _ in range(2):
        about_to_connect(engine.dialect, None, (), parameters)
        made.append(parameters["factory"])

    assert issubclass(made[0], own)
    assert made == [made[0]] * 2


async def test_what_a_solution_sets_on_its_connections_works(environment):
    """The observer is nobody's business."""
    patches.apply_for(b"sqlalchemy")
    asked = []

    class Own(sqlite3.Connection):
        def greet(self) -> str:
            return "hello"

    def authorize(action: int, *args: object) -> int:
        asked.append(action)
        return sqlite3.SQLITE_DENY if args[0] == "secrets" else sqlite3.SQLITE_OK

    engine = create_engine("sqlite:///shop.db", connect_args={"factory": Own, "timeout": 15})
    core(engine, "CREATE TABLE users (name)")
    core(engine, "CREATE TABLE secrets (name)")
    seen = []

    def use_them() -> None:
        with closing(engine.raw_connection()) as connection:
            driver: Any = connection.driver_connection
            driver.set_authorizer(authorize)
            driver.row_factory = sqlite3.Row
            driver.text_factory = bytes
            driver.create_function("twice", 1, lambda value: value * 2)
            seen.append(driver.greet())
            seen.append(driver.execute("PRAGMA busy_timeout").fetchone()[0])
            seen.append(driver.execute("PRAGMA journal_mode").fetchone()[0])
            driver.execute("INSERT INTO users VALUES (twice(?))", (4,))
            driver.executemany("INSERT INTO users VALUES (:name)", [{"name": "ada"}])
            seen.extend(row["name"] for row in driver.execute("SELECT name FROM users"))
            driver.commit()
            with pytest.raises(sqlite3.DatabaseError, match="secrets"):
                driver.execute("SELECT * FROM secrets")
            with pytest.raises(sqlite3.OperationalError, match="syntax"):
                driver.execute("SELEC")
            driver.set_authorizer(None)

    exchange = await run_tasks(environment, use_them)

    assert exchange.raised is None
    assert seen == ["hello", 15000, b"delete", 8, b"ada"]
    assert asked
    assert environment.timeline.of("commit") == ["users"]


async def test_only_the_queries_from_a_number_on_fail(environment, engine):
    """The second of two, and what it says is that a spec has made it."""
    environment.database.fail_queries("users", after=1)

    def twice() -> None:
        read(engine)()
        read(engine)()

    exchange = await run_tasks(environment, twice)

    assert "made by this spec" in str(exchange.raised)
    assert environment.timeline.of("query") == ["users", "users"]


async def test_changes_fail_and_queries_pass(environment, engine):
    """With an error of the database, or the one that is given; and a change can be let through."""
    environment.database.fail_changes("users", KeyError("made by hand"), after=2)
    environment.database.fail_changes("users", after=1)
    exchanges = [await run_tasks(environment, add_ada(engine)) for _ in range(3)]
    reading = await run_tasks(environment, read(engine))

    assert [type(exchange.raised) for exchange in exchanges] == [
        type(None),
        OperationalError,
        KeyError,
    ]
    assert reading.raised is None
    assert [event.was_made for event in environment.timeline if event.kind == "fault"] == [True] * 2
    assert users(environment) == ["ada"]


@pytest.mark.parametrize("do", [core, raw])
async def test_a_table_refuses_rows(environment, engine, do):
    """Also one of many in a statement, and nothing else."""
    environment.database.refuse_rows("users", when="NEW.name = 'eve'")

    def add() -> None:
        do(engine, "INSERT INTO users (name) VALUES ('bob'), ('eve')")

    refused = await run_tasks(environment, add)
    accepted = await run_tasks(environment, add_ada(engine))

    assert refused.raised is not None
    assert accepted.raised is None
    assert users(environment) == ["ada"]
    assert [event.was_made for event in environment.timeline if event.kind == "fault"] == [True]


def test_a_change_that_is_not_committed_locks_the_database(environment, engine):
    """And nobody else's change can begin before it is over."""
    with closing(sqlite3.connect(environment.database.file)) as connection:
        before = environment.database.is_locked()
        connection.execute("INSERT INTO users (name) VALUES ('bob')")
        during = environment.database.is_locked()
        connection.commit()

    assert [before, during, environment.database.is_locked()] == [False, True, False]


async def test_a_connection_past_the_engine_is_seen(environment, engine):
    """One that the solution makes, and a cursor that knows nothing of the dojo."""
    driver = engine.raw_connection().driver_connection
    made = []

    def on_a_thread() -> None:
        made.append(sqlite3.connect("shop.db", isolation_level=None, check_same_thread=False))
        made[0].execute("INSERT INTO users VALUES ('ada')")

    async def on_the_loop() -> None:
        made[0].execute("INSERT INTO users VALUES ('grace')")
        sqlite3.Cursor(driver).execute("INSERT INTO orders VALUES ('tea')")
        sqlite3.Connection.commit(driver)
        made[0].close()

    await run_tasks(environment, on_a_thread, on_the_loop)

    assert environment.timeline.of("commit") == ["users", "users"]
    assert environment.timeline.blocked() == [
        "statement INSERT INTO users VALUES ('grace')",
        "commit users",
        "statement a change of orders",
    ]


def test_each_engine_has_a_pool_of_its_own(environment, engine):
    """A second engine on the same file is seen as soon as it connects, and not before."""
    other = create_engine("sqlite:///shop.db")
    engines = [engine, engine.execution_options(), engine, other]
    found = []
    for each in engines:
        with each.connect() as connection:
            connection.execute(text("SELECT name FROM users"))
        found.append(environment.database.pools())
        each.dispose()

    assert found == [1, 1, 1, 2], "the pools after each engine was used"

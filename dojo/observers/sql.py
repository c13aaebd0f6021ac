"""The observer of the database, and a spec's own view of it.

A spec reads the file through a connection of its own, so that only what is committed counts.

What a statement reads and writes is asked of SQLite itself, at the connection that SQLAlchemy's
engine makes: the ORM, Core, `text()`, `raw_connection()` and a cursor of it look alike, and so do a
table and a view of it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dojo.harness import holds
from dojo.harness.current import current_exchange, current_timeline
from dojo.harness.holds import Hold
from dojo.harness.timeline import MADE

FILE = "shop.db"
BUSY = 0.004

Row = tuple[Any, ...]
Result = TypeVar("Result")


@dataclass
class Step:
    """One statement or commit that is about to be executed: the tables that it reads and writes.

    What writes a table, and reads it to do so, is a change of it and no query.
    """

    text: str = "COMMIT"
    read: set[str] = field(default_factory=set)
    written: dict[str, None] = field(default_factory=dict)
    commits: bool = False
    rolls_back: bool = False
    pragma: str = ""

    @property
    def queried(self) -> set[str]:
        return self.read.difference(self.written)


class Database:
    """`shop.db` in the working directory of a spec."""

    __slots__ = (
        "_failures",
        "_holds",
        "_lock",
        "file",
    )

    def __init__(self, directory: Path) -> None:
        self.file = directory / FILE
        self._lock = threading.Lock()
        self._holds: list[tuple[Callable[[Step], bool], Hold]] = []
        self._failures: list[tuple[Callable[[Step], bool], Exception]] = []

    def rows(self, query: str, *values: Any) -> list[Row]:
        """What is committed now; an empty list where there is no database yet."""
        if not self.file.is_file():
            return []
        connection = sqlite3.connect(self.file.as_uri() + "?mode=ro", uri=True)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def insert(self, table: str, *rows: dict[str, Any]) -> None:
        """Put rows into a table and commit."""
        connection = sqlite3.connect(self.file)
        try:
            for row in rows:
                names = ", ".join(row)
                marks = ", ".join("?" * len(row))
                connection.execute(
                    f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values())
                )
            connection.commit()
        finally:
            connection.close()

    def delete(self, table: str) -> None:
        """Empty a table and commit."""
        connection = sqlite3.connect(self.file)
        try:
            connection.execute(f"DELETE FROM {table}")
            connection.commit()
        finally:
            connection.close()

    def hold_changes(self, table: str, limit: int = 1) -> Hold:
        """Hold whoever is about to insert, update or delete in `table`."""
        return self._hold(f"the change of the table {table}", _changes(table), limit)

    def hold_queries(self, table: str, limit: int = 1, *, after: int = 0) -> Hold:
        """Hold whoever is about to select from `table`, once it was selected from `after` times."""
        return self._hold(
            f"the query of the table {table}", _from_number(after, _queries(table)), limit
        )

    def hold_step(self, number: int, *, in_task: bool = True) -> Hold:
        """Hold the first exchange that uses the database from now on at one of its steps, counted
        from 0: its statements, whatever the table, and the commits of what it has changed.

        With `in_task` the steps after its response count, else those before it. Where there are
        fewer, the hold is never reached.
        """
        return self._hold(
            f"statement or commit number {number + 1}",
            _from_number(number, _ByTheFirst(in_task)),
            1,
        )

    def fail_queries(self, table: str, error: Exception | None = None, *, after: int = 0) -> None:
        """From now on selects from `table` fail, once it was selected from `after` times: with an
        error of the database, or `error`."""
        error = error or sqlite3.OperationalError("disk I/O error (made by this spec)")
        self._failures.append((_from_number(after, _queries(table)), error))

    def heal(self) -> None:
        """From now on nothing fails any more."""
        self._failures.clear()

    def stop(self, step: Step) -> None:
        """Stop what is about to be executed, where a spec wants that."""
        with self._lock:
            stops = [hold for held, hold in self._holds if held(step)]
        for hold in stops:
            hold.stop_here()

    def fail(self, step: Step) -> None:
        """Fail what is about to be executed, where a spec wants that."""
        with self._lock:
            errors = [error for fails, error in self._failures if fails(step)]
        timeline = current_timeline()
        for error in errors:
            if timeline is not None:
                tables = ", ".join(sorted(step.queried))
                timeline.record("fault", f"query of {tables}: {MADE}", blocking=True)
            raise error

    def _hold(self, what: str, held: Callable[[Step], bool], limit: int) -> Hold:
        hold = Hold(what, limit)
        self._holds.append((held, hold))
        return hold


def _changes(table: str) -> Callable[[Step], bool]:
    return lambda step: not step.commits and table.lower() in step.written


def _queries(table: str) -> Callable[[Step], bool]:
    return lambda step: table.lower() in step.queried


def _from_number(number: int, wanted: Callable[[Step], bool]) -> Callable[[Step], bool]:
    """`wanted`, without the first `number` that are."""
    seen = 0

    def later(step: Step) -> bool:
        nonlocal seen
        seen += wanted(step)
        return seen > number and wanted(step)

    return later


class _ByTheFirst:
    """The steps of the first exchange that has one."""

    def __init__(self, in_task: bool) -> None:
        self.in_task = in_task
        self.number: int | None = None

    def __call__(self, step: Step) -> bool:
        state = current_exchange()
        if state is None or state.responded != self.in_task:
            return False
        if self.number is None:
            self.number = state.number
        return self.number == state.number


_database: Database | None = None
_pools: set[Any] = set()


def use(database: Database | None) -> None:
    """Make `database` the one in force, and close what solutions have left open in the one
    before."""
    global _database
    _database = database
    while _pools:
        _pools.pop().dispose()


def about_to_connect(dialect: Any, record: Any, args: Any, parameters: dict[str, Any]) -> None:
    """Have an engine make an observed connection; called by SQLAlchemy."""
    if current_timeline() is None or dialect.driver != "pysqlite":
        return
    own = parameters.get("factory", sqlite3.Connection)
    parameters["factory"] = (
        ObservedConnection
        if own is sqlite3.Connection
        else type(own.__name__, (ObservedConnection, own), {})
    )
    # SQLite says what a statement uses when it is prepared, so each has to be.
    parameters["cached_statements"] = 0


def checked_out(connection: Any, record: Any, proxy: Any) -> None:
    """Remember a pool that is in use; called by SQLAlchemy."""
    if current_timeline() is not None:
        _pools.add(proxy._pool)


class _Prepared(sqlite3.Error):
    """Raised when a statement is prepared, before it is executed."""


class _NoValues(Sequence[Any]):
    """Values that stop a statement when they are bound."""

    def __len__(self) -> int:
        raise _Prepared

    def __getitem__(self, index: Any) -> Any:
        raise _Prepared


class _Authorizer:
    """What SQLite asks whether a statement may do what it says, while it prepares it.

    It knows no connection: a connection that is not used any more must be closed at once.
    """

    def __init__(self) -> None:
        self.own: Callable[..., int] | None = None
        self.step: Step | None = None
        self.silent = False

    def __call__(self, action: int, *args: str | None) -> int:
        if self.step is not None:
            _note(self.step, action, *args)
        elif self.own is not None and not self.silent:
            return self.own(action, *args)
        return sqlite3.SQLITE_OK


def _note(step: Step, action: int, first: str | None, second: str | None, *more: Any) -> None:
    """Note what an authorizer is told: https://sqlite.org/c3ref/c_alter_table.html."""
    if action == sqlite3.SQLITE_TRANSACTION:
        step.commits = first == "COMMIT"
        step.rolls_back = first == "ROLLBACK"
    elif action == sqlite3.SQLITE_PRAGMA:
        step.pragma = first or ""
    table = ((second if action == sqlite3.SQLITE_ALTER_TABLE else first) or "").lower()
    if table.startswith("sqlite_"):
        return
    if action == sqlite3.SQLITE_READ:
        step.read.add(table)
    elif action in _WRITING:
        step.written[table] = None


_WRITING = (
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_DELETE,
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_DROP_TABLE,
    sqlite3.SQLITE_ALTER_TABLE,
)


class ObservedConnection(sqlite3.Connection):
    """A connection that tells the timeline, and stops at the holds of a spec."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._authorizer = _Authorizer()
        self._written: dict[str, None] = {}
        super().set_authorizer(self._authorizer)
        # A spec's database is thrown away: waiting for the disk to have it would only be slow.
        if not self.in_transaction:
            self._quietly("PRAGMA synchronous=OFF")

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(ObservedCursor if factory is None else factory)

    def execute(self, *args: Any) -> Any:
        return self.cursor().execute(*args)

    def executemany(self, *args: Any) -> Any:
        return self.cursor().executemany(*args)

    def executescript(self, *args: Any) -> Any:
        return self.cursor().executescript(*args)

    def set_authorizer(self, authorizer_callback: Any) -> None:
        self._authorizer.own = authorizer_callback
        super().set_authorizer(self._authorizer)

    def commit(self) -> None:
        step = Step(written=dict(self._written), commits=True)
        if _observing():
            self._before(step)
            self._patiently(super().commit)
        else:
            super().commit()
        self._ended()

    def rollback(self) -> None:
        super().rollback()
        self._ended()

    def close(self) -> None:
        super().close()
        self._ended()

    def __exit__(self, kind: Any, error: Any, tb: Any) -> Any:
        if kind is not None:
            self.rollback()
            return False
        try:
            self.commit()
        except BaseException:
            self.rollback()
            raise
        return False

    def run(self, text: str, execute: Callable[[], Result]) -> Result:
        """Execute a statement, with all that is to be seen and done before and after it."""
        if not _observing():
            return execute()
        step = self._patiently(lambda: self._look_at(text))
        if step.commits:
            step.written = dict(self._written)
        self._before(step)
        try:
            result = self._patiently(execute)
        except BaseException:
            if not self.in_transaction:
                self._ended()
            raise
        self._after(step)
        return result

    def each(self, text: str, rows: Iterable[Any]) -> Iterator[Any]:
        """The rows of an `executemany`, each of which is a statement of its own where nothing holds
        them together."""
        for number, row in enumerate(rows):
            if number and not self.in_transaction and _observing():
                self._before(self._look_at(text))
            yield row

    def _before(self, step: Step) -> None:
        """Tell the timeline what is about to be executed, and stop or fail it where a spec wants
        that."""
        timeline = current_timeline()
        if timeline is None or _database is None:
            return
        if step.commits and not step.written:
            return
        if step.read or step.written:
            _database.stop(step)
        if step.commits:
            timeline.record("commit", ", ".join(step.written), blocking=True)
        elif step.queried:
            timeline.record("query", ", ".join(sorted(step.queried)), blocking=True)
        if timeline.on_loop() and not step.commits and (step.written or not step.queried):
            timeline.record("statement", " ".join(step.text.split())[:60], blocking=True)
        _database.fail(step)

    def _after(self, step: Step) -> None:
        """Remember what is changed until it is committed; it is at once outside a transaction."""
        self._written.update(step.written)
        if self.in_transaction:
            return
        timeline = current_timeline()
        if timeline is not None and self._written and not (step.commits or step.rolls_back):
            timeline.record("commit", ", ".join(self._written), blocking=True)
        self._ended()

    def _ended(self) -> None:
        """The transaction is over, and its locks are free."""
        self._written.clear()
        holds.lock_freed()

    def _look_at(self, text: str) -> Step:
        """What a statement would read and write; nothing where it is none."""
        step = self._authorizer.step = Step(text)
        try:
            self._quietly(f"EXPLAIN {text}", _NoValues())
        except sqlite3.OperationalError as error:
            if _is_busy(error):
                raise
        except (sqlite3.Error, sqlite3.Warning):
            pass  # it fails once more, and in the solution's hands, when it is executed
        finally:
            self._authorizer.step = None
        return step

    def _quietly(self, text: str, values: Sequence[Any] = ()) -> Any:
        """Execute a statement of ours."""
        silent = self._authorizer.silent
        self._authorizer.silent = True
        try:
            return sqlite3.Cursor(self).execute(text, values).fetchone()
        finally:
            self._authorizer.silent = silent

    def _patiently(self, execute: Callable[[], Result]) -> Result:
        """Execute something that may have to wait for a lock, which somebody may keep who is held.

        SQLite's own waiting cannot be seen, so it is cut into short pieces, as long together as
        SQLite was told to wait. Where it does not wait at all, since it would be in vain, its error
        is what the solution gets in life, too.
        """
        state = current_exchange()
        if state is None or not holds.some_held():
            return execute()
        (told,) = self._quietly("PRAGMA busy_timeout")
        end = holds.clock() + told / 1000
        self._quietly(f"PRAGMA busy_timeout={min(told, round(BUSY * 1000))}")
        try:
            while True:
                began, seen = holds.clock(), holds.locks_freed()
                try:
                    return execute()
                except sqlite3.OperationalError as error:
                    now = holds.clock()
                    if not _is_busy(error) or now - began < BUSY or now > end:
                        raise
                holds.wait_for_lock(state, seen)
        finally:
            holds.got_lock(state)
            self._quietly(f"PRAGMA busy_timeout={told}")


class ObservedCursor(sqlite3.Cursor):
    """A cursor of an observed connection."""

    def execute(self, sql: Any, *values: Any) -> Any:
        execute = super().execute
        if not isinstance(sql, str):
            return execute(sql, *values)
        self._of.run(sql, lambda: execute(sql, *values))
        return self

    def executemany(self, sql: Any, rows: Any) -> Any:
        execute = super().executemany
        if not isinstance(sql, str):
            return execute(sql, rows)
        rows = list(rows)
        self._of.run(sql, lambda: execute(sql, self._of.each(sql, rows)))
        return self

    def executescript(self, script: Any) -> Any:
        """As sqlite3 does it: commit, then one statement after the other with no transaction but
        those that they begin."""
        if not isinstance(script, str) or not _observing():
            return super().executescript(script)
        connection = self._of
        if connection.in_transaction:
            connection.commit()
        level = connection.isolation_level
        connection.isolation_level = None
        try:
            for statement in _statements(script):
                self.execute(statement).fetchall()
        finally:
            connection.isolation_level = level
        return self

    @property
    def _of(self) -> ObservedConnection:
        connection = self.connection
        assert isinstance(connection, ObservedConnection)
        return connection


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one."""
    begun = ""
    *pieces, last = script.split(";")
    for piece in pieces:
        begun += piece + ";"
        if sqlite3.complete_statement(begun):
            if begun.strip(" \t\r\n;"):
                yield begun
            begun = ""
    if (begun + last).strip():
        yield begun + last


def _observing() -> bool:
    return (
        current_timeline() is not None and _database is not None and current_exchange() is not None
    )


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY

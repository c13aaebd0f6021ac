"""The connections of a solution to SQLite, each statement and commit of which is observed.

What a statement reads and writes is asked of SQLite itself, at the connection that SQLAlchemy's
engine makes: the ORM, Core, `text()`, `raw_connection()` and a cursor of it look alike, and so do a
table and a view of it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from dojo.harness import holds
from dojo.harness.current import by_the_solution, current_exchange, current_timeline
from dojo.harness.timeline import MADE
from dojo.observers.files import current_disk
from dojo.observers.sql import AT_ONCE, FILE, Step, current_database
from dojo.observers.statements import Authorizer, NoValues, statements_of

BUSY = 0.004
_real_connect = sqlite3.connect

Result = TypeVar("Result")


def about_to_connect(dialect: Any, _record: Any, _args: Any, parameters: dict[str, Any]) -> None:
    """Have an engine make an observed connection; called by SQLAlchemy."""
    if current_timeline() is None or dialect.driver != "pysqlite":
        return
    _observe(parameters)


def connect(database: Any, *args: Any, **options: Any) -> Any:
    """In place of `sqlite3.connect`: a solution's own connection is observed like its engine's."""
    disk = current_disk()
    is_its_own = disk is not None and disk.name_of(database) == FILE and by_the_solution()
    if is_its_own and not args and "factory" not in options:
        _observe(options)
    return _real_connect(database, *args, **options)


def _observe(parameters: dict[str, Any]) -> None:
    """Have these parameters make an observed connection."""
    own = parameters.get("factory", sqlite3.Connection)
    if own is sqlite3.Connection:
        parameters["factory"] = ObservedConnection
    elif not issubclass(own, ObservedConnection):  # some SQLAlchemy keeps them for the next one
        parameters["factory"] = type(own.__name__, (ObservedConnection, own), {})
    # SQLite says what a statement uses when it is prepared, so each has to be.
    parameters["cached_statements"] = 0


class ObservedConnection(sqlite3.Connection):
    """A connection that tells the timeline, and stops at the holds of a spec."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._authorizer = Authorizer()
        self._written: dict[str, None] = {}
        super().set_authorizer(self._authorizer)
        if not self.in_transaction:
            self._quietly(AT_ONCE)

    def cursor(self, factory: Any = None) -> Any:
        """A cursor that is observed, too."""
        return super().cursor(ObservedCursor if factory is None else factory)

    def execute(self, *args: Any) -> Any:
        """As sqlite3 does it, by an observed cursor."""
        return self.cursor().execute(*args)

    def executemany(self, *args: Any) -> Any:
        """As sqlite3 does it, by an observed cursor."""
        return self.cursor().executemany(*args)

    def executescript(self, *args: Any) -> Any:
        """As sqlite3 does it, by an observed cursor."""
        return self.cursor().executescript(*args)

    def set_authorizer(self, authorizer_callback: Any) -> None:
        """Set the authorizer of the solution; ours asks it."""
        self._authorizer.own = authorizer_callback
        super().set_authorizer(self._authorizer)

    def commit(self) -> None:
        """Commit, which is noted, and stopped where a spec wants that."""
        step = Step(written=dict(self._written), commits=True)
        if _observing():
            self._before(step)
            self._patiently(super().commit)
        else:
            super().commit()
        self._ended()

    def rollback(self) -> None:
        """Roll back, which frees the locks."""
        super().rollback()
        self._ended()

    def close(self) -> None:
        """Close, which frees the locks."""
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
        self._authorizer.expected = True
        try:
            result = self._patiently(execute)
        except BaseException as error:
            timeline = current_timeline()
            if timeline is not None and MADE in str(error):
                timeline.record("fault", f"{step.what}: {MADE}", blocking=True)
            if not self.in_transaction:
                self._ended()
            raise
        finally:
            self._authorizer.expected = False
        self._after(step)
        return result

    def each(self, text: str, rows: Iterable[Any]) -> Iterator[Any]:
        """The rows of an `executemany`.

        Outside a transaction each of them is a statement of its own.
        """
        for number, row in enumerate(rows):
            if number and not self.in_transaction and _observing():
                self._before(self._look_at(text))
            yield row

    def _before(self, step: Step) -> None:
        """Note what is about to be executed, and stop or fail it where a spec wants that."""
        timeline, database = current_timeline(), current_database()
        if timeline is None or database is None:
            return
        if step.commits and not step.written:
            return
        if step.read or step.written:
            database.stop(step)
        if step.commits:
            timeline.record("commit", ", ".join(step.written), blocking=True)
        elif step.queried:
            timeline.record("query", ", ".join(sorted(step.queried)), blocking=True)
        if timeline.on_loop() and not step.commits and (step.written or not step.queried):
            timeline.record("statement", " ".join(step.text.split())[:60], blocking=True)
        database.fail(step)

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
        """The tables that a statement would read and write; none where it is no statement."""
        step = self._authorizer.step = Step(text)
        try:
            self._quietly(f"EXPLAIN {text}", NoValues())
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
        """Execute something that may have to wait for a lock that a held exchange has.

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

    _query = ""
    _thread = 0

    def execute(self, sql: Any, *values: Any) -> Any:
        """Execute a statement, observed."""
        execute = super().execute
        if not isinstance(sql, str):
            return execute(sql, *values)
        self._query, self._thread = sql, threading.get_ident()
        self._of.run(sql, lambda: execute(sql, *values))
        return self

    def fetchone(self) -> Any:
        """As sqlite3 does it, observed."""
        self._fetching()
        return super().fetchone()

    def fetchmany(self, *args: Any, **size: Any) -> Any:
        """As sqlite3 does it, observed."""
        self._fetching()
        return super().fetchmany(*args, **size)

    def fetchall(self) -> Any:
        """As sqlite3 does it, observed."""
        self._fetching()
        return super().fetchall()

    def __next__(self) -> Any:
        self._fetching()
        return super().__next__()

    def _fetching(self) -> None:
        """Note once that rows are fetched on the event loop which a thread has asked for.

        SQLite looks for each row when it is fetched, so a query goes on until the last one.
        """
        if self._thread == threading.get_ident():
            return
        timeline = current_timeline()
        if self._query and timeline is not None and timeline.on_loop() and _observing():
            detail = "the rows of " + " ".join(self._query.split())[:60]
            timeline.record("statement", detail, blocking=True)
            self._query = ""

    def executemany(self, sql: Any, rows: Any) -> Any:
        """Execute a statement with many rows, observed."""
        execute = super().executemany
        if not isinstance(sql, str):
            return execute(sql, rows)
        rows = list(rows)
        self._of.run(sql, lambda: execute(sql, self._of.each(sql, rows)))
        return self

    def executescript(self, script: Any) -> Any:
        """As sqlite3 does it: commit, then one statement after the other.

        There is no transaction but those that the statements begin.
        """
        if not isinstance(script, str) or not _observing():
            return super().executescript(script)
        connection = self._of
        if connection.in_transaction:
            connection.commit()
        level = connection.isolation_level
        connection.isolation_level = None
        try:
            for statement in statements_of(script):
                self.execute(statement).fetchall()
        finally:
            connection.isolation_level = level
        return self

    @property
    def _of(self) -> ObservedConnection:
        connection = self.connection
        assert isinstance(connection, ObservedConnection)
        return connection


def _observing() -> bool:
    return (
        current_timeline() is not None
        and current_database() is not None
        and current_exchange() is not None
    )


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY

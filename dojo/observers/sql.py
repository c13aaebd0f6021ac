"""The observer of the database, and a spec's own view of it.

A spec reads the file through a connection of its own, so that only what is committed counts. What a
solution does at its connections is observed by `dojo.observers.connections`.
"""

from __future__ import annotations

import operator
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dojo.harness.current import current_exchange, current_timeline
from dojo.harness.holds import Hold
from dojo.harness.timeline import MADE

FILE = "shop.db"
# A spec's database is thrown away: waiting for the disk to have it would only be slow.
AT_ONCE = "PRAGMA synchronous=OFF"

Row = tuple[Any, ...]


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
    def what(self) -> str:
        """What it does, in words."""
        if self.written:
            return f"change of {', '.join(self.written)}"
        return f"query of {', '.join(sorted(self.queried))}"

    @property
    def queried(self) -> set[str]:
        """The tables that it reads and does not change."""
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
        """The rows that are committed now; an empty list where there is no database yet."""
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
            connection.execute(AT_ONCE)
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
            connection.execute(AT_ONCE)
            connection.execute(f"DELETE FROM {table}")
            connection.commit()
        finally:
            connection.close()

    def is_locked(self) -> bool:
        """Whether somebody is in the middle of a change, so that nobody else can begin one."""
        connection = sqlite3.connect(self.file, timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return True
        finally:
            connection.close()
        return False

    def pools(self) -> int:
        """The number of pools that connections were taken from: each engine has its own.

        The one that an engine has after `dispose` counts as the one before: it connects likewise.
        """
        return len({id(_creator_of(pool)) for pool in _pools})

    def hold_changes(self, table: str, limit: int = 1) -> Hold:
        """Hold what is about to insert, update or delete in `table`."""
        return self._hold(f"the change of the table {table}", _changes(table), limit)

    def hold_queries(self, table: str, limit: int = 1, *, after: int = 0) -> Hold:
        """Hold what is about to select from `table`, once it was selected from `after` times."""
        return self._hold(
            f"the query of the table {table}", _from_number(after, _queries(table)), limit
        )

    def hold_step(self, number: int, *, in_task: bool = True) -> Hold:
        """Hold the first exchange that uses the database from now on, at one of its steps.

        They are counted from 0: its statements, whatever the table, and the commits of what it has
        changed. With `in_task` the steps after its response count, else those before it. Where
        there are fewer, the hold is never reached.
        """
        return self._hold(
            f"statement or commit number {number + 1}",
            _from_number(number, _ByTheFirst(in_task)),
            1,
        )

    def fail_queries(self, table: str, error: Exception | None = None, *, after: int = 0) -> None:
        """From now on selects from `table` fail, once it was selected from `after` times.

        With an error of the database, or `error`.
        """
        error = error or sqlite3.OperationalError("disk I/O error (made by this spec)")
        self._failures.append((_from_number(after, _queries(table)), error))

    def fail_changes(self, table: str, error: Exception | None = None, *, after: int = 0) -> None:
        """From now on what inserts, updates or deletes in `table` fails, but for the first `after`.

        With an error of the database, or `error`.
        """
        error = error or sqlite3.OperationalError("disk I/O error (made by this spec)")
        self._failures.append((_from_number(after, _changes(table)), error))

    def refuse_rows(self, table: str, when: str) -> None:
        """From now on no row is inserted into `table` for which `when` is so, however it comes.

        `when` is SQL about the row `NEW`: `NEW.kind = 'points'`. A trigger of SQLite's sees to it,
        so it is the same for a statement with many rows.
        """
        connection = sqlite3.connect(self.file)
        try:
            connection.execute(AT_ONCE)
            connection.execute(
                f"CREATE TRIGGER refused_{table} BEFORE INSERT ON {table} WHEN {when} "
                f"BEGIN SELECT RAISE(ABORT, 'no such row: {MADE}'); END"
            )
            connection.commit()
        finally:
            connection.close()

    def heal(self) -> None:
        """From now on nothing fails any more, but for the rows that a table refuses."""
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
                timeline.record("fault", f"{step.what}: {MADE}", blocking=True)
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

    def __call__(self, _step: Step) -> bool:
        """Whether the calling exchange is the first."""
        state = current_exchange()
        if state is None or state.responded != self.in_task:
            return False
        if self.number is None:
            self.number = state.number
        return self.number == state.number


_database: Database | None = None
_pools: set[Any] = set()
# The proxy of a connection has no public name for its pool, nor a pool for what it connects with.
_pool_of = operator.attrgetter("_pool")
_creator_of = operator.attrgetter("_creator")


def use(database: Database | None) -> None:
    """Make `database` the one in force, and close what is open in the one before."""
    global _database
    _database = database
    while _pools:
        _pools.pop().dispose()


def current_database() -> Database | None:
    """The database of the spec that runs now, if one does."""
    return _database


def checked_out(_connection: Any, _record: Any, proxy: Any) -> None:
    """Remember a pool that is in use; called by SQLAlchemy."""
    if current_timeline() is not None:
        _pools.add(_pool_of(proxy))

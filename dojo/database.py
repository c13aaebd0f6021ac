"""The observer of the database, and a spec's own view of it.

A spec reads the file through a connection of its own, so that only what is committed counts.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dojo.holds import Hold
from dojo.timeline import MADE, owner, witness

FILE = "shop.db"
CHANGES = re.compile(
    r"\s*(?:INSERT(?:\s+OR\s+\w+)?\s+INTO|REPLACE\s+INTO|UPDATE(?:\s+OR\s+\w+)?|DELETE\s+FROM)\s+[\"`\[]?(\w+)",
    re.IGNORECASE,
)
QUERIES = re.compile(r"\s*(?:SELECT|WITH)\b.*?\bFROM\s+[\"`\[]?(\w+)", re.IGNORECASE | re.DOTALL)
_TABLES = "dojo.tables"

Row = tuple[Any, ...]


class Database:
    """`shop.db` in the working directory of a spec."""

    __slots__ = (
        "_failures",
        "_holds",
        "file",
    )

    def __init__(self, directory: Path) -> None:
        self.file = directory / FILE
        self._holds: list[_Held] = []
        self._failures: list[tuple[str, Exception | None]] = []

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
        hold = Hold(f"the change of the table {table}", limit)
        self._holds.append(_Held(_changes_of(table), hold))
        return hold

    def hold_queries(self, table: str, limit: int = 1, *, after: int = 0) -> Hold:
        """Hold whoever is about to select from `table`, once it was selected from `after` times."""
        hold = Hold(f"the query of the table {table}", limit)
        self._holds.append(_Held(_queries_of(table), hold, after))
        return hold

    def fail_queries(self, table: str, error: Exception | None = None) -> None:
        """From now on selects from `table` fail: with an error of the database, or `error`."""
        self._failures.append((table, error))

    def heal(self) -> None:
        """From now on nothing fails any more."""
        self._failures.clear()

    def check(self, statement: str) -> None:
        """Stop or fail a statement that is about to be executed, where a spec wants that."""
        for held in self._holds:
            if held.pattern.match(statement):
                held.seen += 1
                if held.seen > held.after:
                    held.hold.stop_here()
        for table, error in self._failures:
            if _queries_of(table).match(statement):
                timeline = witness()
                if timeline is not None:
                    timeline.record("fault", f"query of {table}: {MADE}", blocking=True)
                raise error or _database_error(statement)


@dataclass
class _Held:
    """A hold on statements that match a pattern, and how many of them are let through first."""

    pattern: re.Pattern[str]
    hold: Hold
    after: int = 0
    seen: int = 0


def _database_error(statement: str) -> Exception:
    from sqlalchemy.exc import OperationalError

    return OperationalError(statement, {}, sqlite3.OperationalError("disk I/O error"))


def _changes_of(table: str) -> re.Pattern[str]:
    return re.compile(rf"\s*(?!SELECT)\w+\b.*\b{table}\b", re.IGNORECASE | re.DOTALL)


def _queries_of(table: str) -> re.Pattern[str]:
    return re.compile(rf"\s*(?:SELECT|WITH)\b.*\b{table}\b", re.IGNORECASE | re.DOTALL)


_database: Database | None = None
_engines: set[Any] = set()
_installed = False


def use(database: Database | None) -> None:
    """Make `database` the one in force, and close what solutions have left open in the one
    before."""
    global _database
    _database = database
    while _engines:
        _engines.pop().dispose()


def install() -> None:
    """Listen to all SQLAlchemy engines of this process; to be called before a solution makes
    one."""
    global _installed
    if _installed:
        return
    _installed = True
    from sqlalchemy import Engine, Pool, event

    event.listen(Pool, "connect", _connected)
    event.listen(Engine, "engine_connect", _engine_used)
    event.listen(Engine, "before_cursor_execute", _about_to_execute)
    event.listen(Engine, "commit", _committing)
    event.listen(Engine, "rollback", _rolled_back)


def _connected(connection: Any, record: Any) -> None:
    # A spec's database is thrown away: waiting for the disk to have it would only be slow.
    if witness() is not None and isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA journal_mode=MEMORY")


def _engine_used(connection: Any) -> None:
    if witness() is not None:
        _engines.add(connection.engine)


def _about_to_execute(
    connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> None:
    timeline = witness()
    if timeline is None or _database is None or owner() is None:
        return
    changed = CHANGES.match(statement)
    if changed:
        connection.info.setdefault(_TABLES, []).append(changed[1].lower())
    _database.check(statement)
    queried = QUERIES.match(statement)
    if queried:
        timeline.record("query", queried[1].lower(), blocking=True)
    elif timeline.on_loop():
        timeline.record("statement", " ".join(statement.split())[:60], blocking=True)


def _committing(connection: Any) -> None:
    tables = connection.info.pop(_TABLES, [])
    timeline = witness()
    if timeline is not None and tables and owner() is not None:
        timeline.record("commit", ", ".join(dict.fromkeys(tables)), blocking=True)


def _rolled_back(connection: Any) -> None:
    connection.info.pop(_TABLES, None)

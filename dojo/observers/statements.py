"""The tables that SQLite names while it prepares a statement, and the statements of a script."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dojo.harness.current import current_exchange, current_timeline
from dojo.observers.sql import Step


class _Prepared(sqlite3.Error):
    """Raised when a statement is prepared, before it is executed."""


class NoValues(Sequence[Any]):
    """Values that stop a statement when they are bound."""

    def __len__(self) -> int:
        raise _Prepared

    def __getitem__(self, _index: Any) -> Any:
        raise _Prepared


class Authorizer:
    """The authorizer that SQLite asks while it prepares a statement.

    It knows no connection: a connection that is not used any more must be closed at once.
    """

    def __init__(self) -> None:
        self.own: Callable[..., int] | None = None
        self.step: Step | None = None
        self.silent = False
        self.expected = False

    def __call__(self, action: int, *args: str | None) -> int:
        """Note what a statement does that is only looked at; else ask the solution's authorizer.

        A change that is not `expected` comes from a cursor that nobody observes.
        """
        if self.step is not None:
            _note(self.step, action, *args)
            return sqlite3.SQLITE_OK
        if action in _WRITING and not self.expected:
            timeline = current_timeline()
            if timeline is not None and timeline.on_loop() and current_exchange() is not None:
                timeline.record("statement", f"a change of {args[0]}", blocking=True)
        if self.own is not None and not self.silent:
            return self.own(action, *args)
        return sqlite3.SQLITE_OK


def _note(step: Step, action: int, first: str | None, second: str | None, *_more: Any) -> None:
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


def statements_of(script: str) -> Iterator[str]:
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

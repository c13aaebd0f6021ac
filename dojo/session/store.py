"""The sessions of a checkout in SQLite, `.dojo/sessions.db`: written by one process at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Engine,
    ForeignKey,
    UniqueConstraint,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from dojo.progress import state_folder

FILE = "sessions.db"
LOCK = "sessions.lock"
VERSION = 1


class StoreError(Exception):
    """The database cannot be used; the message says why, and what to do."""


class Base(DeclarativeBase):
    """The tables. A change of them needs a new `VERSION`."""


class SessionRow(Base):
    """A session. `token` is the facilitator's, `code` is what teams and viewers type."""

    __tablename__ = "sessions"
    id: Mapped[int] = mapped_column(primary_key=True)
    started: Mapped[float]
    settings: Mapped[str]
    token: Mapped[str]
    code: Mapped[str]


class ActionRow(Base):
    """Something that the facilitator did."""

    __tablename__ = "actions"
    id: Mapped[int] = mapped_column(primary_key=True)
    session: Mapped[int] = mapped_column(ForeignKey("sessions.id"), index=True)
    at: Mapped[float]
    kind: Mapped[str]
    value: Mapped[str]


class TeamRow(Base):
    """A team; `folded` is its name as it is compared."""

    __tablename__ = "teams"
    __table_args__ = (UniqueConstraint("session", "folded"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    session: Mapped[int] = mapped_column(ForeignKey("sessions.id"))
    name: Mapped[str]
    folded: Mapped[str]
    token: Mapped[str]
    key: Mapped[str]
    joined: Mapped[float]


class LightRow(Base):
    """The light of a run. `run` is the id that the team gave it, `at` is the server's time."""

    __tablename__ = "lights"
    __table_args__ = (UniqueConstraint("team", "run", "kata"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    team: Mapped[int] = mapped_column(ForeignKey("teams.id"))
    run: Mapped[str]
    at: Mapped[float]
    received: Mapped[float]
    kata: Mapped[str]
    light: Mapped[str]
    passed: Mapped[int]
    total: Mapped[int]
    seconds: Mapped[float]
    predicted: Mapped[str | None]
    went_back: Mapped[bool]


class Store:
    """The database. Its methods raise `StoreError` where it does not take or give anything."""

    def __init__(self, root: Path) -> None:
        try:
            self.folder = state_folder(root)
        except OSError as error:
            raise StoreError(f"{root / '.dojo'} cannot be made: {error.strerror}") from None
        self.file = self.folder / FILE
        self.engine = _engine(self.file)
        self._open()

    def _open(self) -> None:
        with self._errors_in_words():
            # The facilitator's token is in it, and in the files that SQLite makes beside it.
            os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))
            with self.engine.begin() as connection:
                version = connection.execute(text("PRAGMA user_version")).scalar_one()
                if version == 0:
                    Base.metadata.create_all(connection)
                    connection.execute(text(f"PRAGMA user_version = {VERSION}"))
        if version > VERSION:
            raise StoreError(
                f"{self.file} was written by a newer dojo (version {version} of its tables, and "
                f"this dojo knows {VERSION}): use that one, or move the file away"
            )

    def add(self, rows: Sequence[Base]) -> None:
        """Write rows, all or none of them."""
        with self._errors_in_words(), Session(self.engine, expire_on_commit=False) as session:
            session.add_all(rows)
            session.commit()

    def save(self, row: Base) -> None:
        """Write a row that was changed."""
        with self._errors_in_words(), Session(self.engine, expire_on_commit=False) as session:
            session.merge(row)
            session.commit()

    def session(self, number: int | None = None) -> SessionRow | None:
        """The session of this number, or the last one."""
        wanted = select(SessionRow).order_by(SessionRow.id.desc()).limit(1)
        if number is not None:
            wanted = wanted.where(SessionRow.id == number)
        found: SessionRow | None = next(iter(self._all(wanted)), None)
        return found

    def sessions(self) -> list[tuple[SessionRow, int, int]]:
        """Each session with the numbers of its teams and lights."""
        counts = (
            select(
                TeamRow.session,
                func.count(TeamRow.id.distinct()).label("teams"),
                func.count(LightRow.id).label("lights"),
            )
            .outerjoin(LightRow, LightRow.team == TeamRow.id)
            .group_by(TeamRow.session)
            .subquery()
        )
        query = (
            select(SessionRow, counts.c.teams, counts.c.lights)
            .outerjoin(counts, counts.c.session == SessionRow.id)
            .order_by(SessionRow.id)
        )
        with self._errors_in_words(), Session(self.engine) as session:
            return [(row, teams or 0, n or 0) for row, teams, n in session.execute(query)]

    def actions(self, session: SessionRow) -> list[ActionRow]:
        """What the facilitator did, in order."""
        return self._all(
            select(ActionRow).where(ActionRow.session == session.id).order_by(ActionRow.id)
        )

    def teams(self, session: SessionRow) -> list[TeamRow]:
        """The teams, in the order in which they joined."""
        return self._all(select(TeamRow).where(TeamRow.session == session.id).order_by(TeamRow.id))

    def lights(self, session: SessionRow) -> list[LightRow]:
        """The lights, in the order in which they arrived."""
        return self._all(
            select(LightRow)
            .join(TeamRow, TeamRow.id == LightRow.team)
            .where(TeamRow.session == session.id)
            .order_by(LightRow.id)
        )

    def _all(self, query: Any) -> list[Any]:
        with self._errors_in_words(), Session(self.engine) as session:
            return list(session.scalars(query))

    @contextlib.contextmanager
    def _errors_in_words(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            raise StoreError(f"{self.file}: {error.orig}") from None
        except OSError as error:
            raise StoreError(f"{self.file}: {error.strerror or error}") from None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Be the one process that writes, until the end of the block or of the process.

        Raises `StoreError` where another one is.
        """
        # SQLite locks a file on every system, and lets go of it when the process ends.
        lock = sqlite3.connect(self.folder / LOCK, timeout=0, isolation_level=None)
        try:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                raise StoreError(
                    f"a session of this checkout is being served already ({error}): "
                    "use its page, or stop it with Ctrl-C"
                ) from None
            yield
        finally:
            lock.close()

    def close(self) -> None:
        """Let go of the file."""
        self.engine.dispose()


def _engine(file: Path) -> Engine:
    url = URL.create("sqlite", database=os.fspath(file))
    engine = create_engine(url, connect_args={"timeout": 5})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # Others may read while one writes, and what is committed outlives the process.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")

    return engine

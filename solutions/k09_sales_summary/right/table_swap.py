"""Right because the new table takes the name of the old one within one transaction."""

import logging
import threading
from contextlib import closing
from datetime import datetime, timezone

from fastapi import BackgroundTasks, FastAPI, HTTPException
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str]
    quantity: Mapped[int]
    price_cents: Mapped[int]
    ordered_at: Mapped[str]  # ISO 8601 with an offset, not always UTC


Base.metadata.create_all(engine)
with closing(engine.raw_connection()) as connection:
    connection.cursor().execute("PRAGMA journal_mode=WAL")
    connection.cursor().execute(
        "CREATE TABLE IF NOT EXISTS summary (refreshed_at TEXT, sku TEXT, quantity INTEGER, revenue_cents INTEGER)"
    )
    connection.commit()

app = FastAPI()
running: set[str] = set()
guard = threading.Lock()


def rebuild(connection) -> None:
    cursor = connection.cursor()
    cursor.execute("DROP TABLE IF EXISTS summary_new")
    cursor.execute(
        "CREATE TABLE summary_new (refreshed_at TEXT, sku TEXT, quantity INTEGER, revenue_cents INTEGER)"
    )
    cursor.execute(
        "INSERT INTO summary_new (sku, quantity, revenue_cents) "
        "SELECT sku, sum(quantity), sum(quantity * price_cents) FROM orders GROUP BY sku"
    )
    # one line without a sku says when, also where there are no orders
    cursor.execute(
        "INSERT INTO summary_new (refreshed_at) VALUES (?)",
        (datetime.now(timezone.utc).isoformat(),),
    )
    connection.commit()
    cursor.execute("BEGIN IMMEDIATE")
    cursor.execute("DROP TABLE summary")
    cursor.execute("ALTER TABLE summary_new RENAME TO summary")
    connection.commit()


def refresh_summary() -> None:
    try:
        with closing(engine.raw_connection()) as connection:
            try:
                rebuild(connection)
            except BaseException:
                connection.rollback()
                raise
    except Exception:
        logging.getLogger("kata").exception("refresh failed")
    finally:
        with guard:
            running.discard("summary")


@app.post("/summary/refresh", status_code=202)
def refresh(tasks: BackgroundTasks):
    with guard:
        if "summary" in running:
            return {"status": "already refreshing"}
        running.add("summary")
    tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary")
def read_summary():
    with closing(engine.raw_connection()) as connection:
        lines = (
            connection.cursor()
            .execute("SELECT refreshed_at, sku, quantity, revenue_cents FROM summary")
            .fetchall()
        )
    if not lines:
        raise HTTPException(404, "no summary yet")
    return {
        "refreshed_at": next(line[0] for line in lines if line[0]),
        "rows": [
            dict(zip(("sku", "quantity", "revenue_cents"), line[1:]))
            for line in lines
            if line[1] is not None
        ],
    }

"""Each row is committed by itself, so that readers see new rows beside old ones.

breaks: Readers see the last whole summary until the new one is complete.
caught by: test_readers_see_the_last_whole_summary_until_the_new_one_is
says: neither the last summary nor the new one
"""

import logging
import threading
from datetime import datetime, timezone

from fastapi import BackgroundTasks, FastAPI, HTTPException
from sqlalchemy import create_engine, event, text
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


@event.listens_for(engine, "connect")
def wal(connection, record):
    connection.execute("PRAGMA journal_mode=WAL")


class Line(Base):
    __tablename__ = "summary"

    sku: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[int]
    revenue_cents: Mapped[int]


class Refresh(Base):
    __tablename__ = "refreshes"

    id: Mapped[int] = mapped_column(primary_key=True)
    refreshed_at: Mapped[str]


Base.metadata.create_all(engine)

app = FastAPI()
mutex = threading.Lock()
running = False


def refresh_summary() -> None:
    global running
    try:
        with engine.begin() as connection:
            rows = connection.execute(
                text(
                    "SELECT sku, SUM(quantity), SUM(quantity * price_cents) FROM orders GROUP BY sku"
                )
            ).all()
            connection.execute(
                text("DELETE FROM summary WHERE sku NOT IN (SELECT sku FROM orders)")
            )
        for row in rows:
            with engine.begin() as connection:
                connection.execute(
                    text("INSERT OR REPLACE INTO summary VALUES (:a, :b, :c)"),
                    dict(zip("abc", row)),
                )
        with engine.begin() as connection:
            connection.execute(
                text("INSERT OR REPLACE INTO refreshes (id, refreshed_at) VALUES (1, :now)"),
                {"now": datetime.now(timezone.utc).isoformat()},
            )
    except Exception:
        logging.getLogger("kata").exception("refresh failed")
    finally:
        with mutex:
            running = False


@app.post("/summary/refresh", status_code=202)
def refresh(tasks: BackgroundTasks):
    global running
    with mutex:
        if running:
            return {"status": "already refreshing"}
        running = True
    tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary")
def read_summary():
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT refreshed_at, sku, quantity, revenue_cents "
                "FROM refreshes LEFT JOIN summary ON 1 = 1 WHERE refreshes.id = 1"
            )
        ).all()
    if not rows:
        raise HTTPException(404, "no summary yet")
    return {
        "refreshed_at": rows[0].refreshed_at,
        "rows": [
            {"sku": row.sku, "quantity": row.quantity, "revenue_cents": row.revenue_cents}
            for row in rows
            if row.sku is not None
        ],
    }

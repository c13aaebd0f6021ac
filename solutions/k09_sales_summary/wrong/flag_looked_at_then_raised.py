"""The flag is looked at, and raised a moment later, so that two requests both see it down.

breaks: While a refresh runs, a second one is not run beside it.
caught by: test_of_two_refreshes_at_the_same_moment_one_is_accepted[a sleep]
says: two requests were told `refreshing`, and neither of the two refreshes
"""

import logging
import threading
import time
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
            connection.execute(text("DELETE FROM summary"))
            connection.execute(
                text(
                    "INSERT INTO summary (sku, quantity, revenue_cents) "
                    "SELECT sku, SUM(quantity), SUM(quantity * price_cents) FROM orders GROUP BY sku"
                )
            )
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
    if running:
        return {"status": "already refreshing"}
    time.sleep(0.001)  # be nice to the database
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

"""Right because the summary is one JSON text in one row."""

import json
import logging
import threading
from datetime import datetime, timezone

from fastapi import BackgroundTasks, FastAPI, HTTPException, Response
from sqlalchemy import create_engine, text
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
with engine.begin() as connection:
    connection.execute(
        text("CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, body TEXT NOT NULL)")
    )
    connection.execute(
        text(
            "CREATE VIEW IF NOT EXISTS sales AS "
            "SELECT sku, sum(quantity) AS quantity, sum(quantity * price_cents) AS revenue_cents "
            "FROM orders GROUP BY sku"
        )
    )

app = FastAPI()
busy = threading.Event()
gate = threading.Lock()


def refresh_summary() -> None:
    try:
        with engine.connect() as connection:
            rows = connection.execute(
                text(
                    "SELECT coalesce(json_group_array(json_object("
                    "'sku', sku, 'quantity', quantity, 'revenue_cents', revenue_cents)), '[]') FROM sales"
                )
            ).scalar_one()
        body = json.dumps(
            {"refreshed_at": datetime.now(timezone.utc).isoformat(), "rows": json.loads(rows)}
        )
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO documents (name, body) VALUES ('summary', :body) "
                    "ON CONFLICT (name) DO UPDATE SET body = excluded.body"
                ),
                {"body": body},
            )
    except Exception as error:
        logging.getLogger("kata").warning("refresh failed", exc_info=error)
    finally:
        busy.clear()


@app.post("/summary/refresh", status_code=202)
def refresh(tasks: BackgroundTasks):
    with gate:
        already = busy.is_set()
        busy.set()
    if already:
        return {"status": "already refreshing"}
    tasks.add_task(refresh_summary)
    return {"status": "refreshing"}


@app.get("/summary")
def read_summary():
    with engine.connect() as connection:
        body = connection.execute(
            text("SELECT body FROM documents WHERE name = 'summary'")
        ).scalar_one_or_none()
    if body is None:
        raise HTTPException(404, "no summary yet")
    return Response(body, media_type="application/json")

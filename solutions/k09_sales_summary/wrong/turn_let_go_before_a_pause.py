"""The flag is lowered when the query has run, while the task has not ended.

breaks: A refresh runs from the response that accepted it until its task ends.
caught by: test_a_refresh_beside_another_is_not_begun[a sleep]
says: a second refresh queried orders while the first one was held
"""

import asyncio
import logging
from datetime import datetime, timezone

from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from sqlalchemy import create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.background import BackgroundTask

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

app = FastAPI()


class State:
    running = False
    answer: dict | None = None


def query() -> list[dict]:
    with engine.connect() as connection:
        result = connection.execute(
            text(
                """
                /* all orders, whatever their month */
                SELECT sku, SUM(quantity) AS quantity, SUM(quantity * price_cents) AS revenue_cents
                FROM orders
                GROUP BY sku
                ORDER BY revenue_cents DESC
                """
            )
        )
        return [row._asdict() for row in result]


async def refresh_summary() -> None:
    try:
        rows = await asyncio.to_thread(query)
        State.running = False
        await asyncio.sleep(0.2)
        State.answer = {"refreshed_at": datetime.now(timezone.utc).isoformat(), "rows": rows}
    except Exception as error:
        logging.getLogger("kata").error("refresh failed: %r", error)
    finally:
        State.running = False


@app.post("/summary/refresh", status_code=202)
async def refresh():
    if State.running:
        return JSONResponse({"status": "already refreshing"}, 202)
    State.running = True  # no await since the look at it
    return JSONResponse({"status": "refreshing"}, 202, background=BackgroundTask(refresh_summary))


@app.get("/summary")
async def read_summary():
    if State.answer is None:
        raise HTTPException(404, "not refreshed yet")
    return State.answer

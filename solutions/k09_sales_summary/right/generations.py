"""Right because readers are shown the latest generation that is complete; several commits lead up to it."""

import logging
import threading
from datetime import datetime, timezone

from fastapi import BackgroundTasks, FastAPI, HTTPException
from sqlalchemy import and_, create_engine, delete, func, insert, literal, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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


class Line(Base):
    __tablename__ = "summary_lines"

    generation: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[int]
    revenue_cents: Mapped[int]


class Generation(Base):
    __tablename__ = "summary_generations"

    id: Mapped[int] = mapped_column(primary_key=True)
    refreshed_at: Mapped[str | None]


Base.metadata.create_all(engine)

app = FastAPI()
log = logging.getLogger("kata")
permit = threading.BoundedSemaphore(1)


def build() -> None:
    with Session(engine) as session:
        generation = Generation(refreshed_at=None)
        session.add(generation)
        session.commit()
        new = generation.id
        session.execute(
            insert(Line).from_select(
                ["generation", "sku", "quantity", "revenue_cents"],
                select(
                    literal(new),
                    Order.sku,
                    func.sum(Order.quantity),
                    func.sum(Order.quantity * Order.price_cents),
                ).group_by(Order.sku),
            )
        )
        session.commit()
        generation.refreshed_at = datetime.now(timezone.utc).isoformat()
        session.commit()
        session.execute(delete(Line).where(Line.generation < new))
        session.execute(delete(Generation).where(Generation.id < new))
        session.commit()


def refresh_summary() -> None:
    try:
        build()
    except Exception:
        log.exception("refresh failed")
    finally:
        permit.release()


@app.post("/summary/refresh", status_code=202)
def refresh(tasks: BackgroundTasks):
    if permit.acquire(blocking=False):
        tasks.add_task(refresh_summary)
        return {"status": "refreshing"}
    return {"status": "already refreshing"}


@app.get("/summary")
def read_summary():
    current = (
        select(func.max(Generation.id))
        .where(Generation.refreshed_at.is_not(None))
        .scalar_subquery()
    )
    statement = (
        select(Generation.refreshed_at, Line.sku, Line.quantity, Line.revenue_cents)
        .outerjoin(Line, Line.generation == Generation.id)
        .where(and_(Generation.id == current))
    )
    with Session(engine) as session:
        rows = session.execute(statement).all()
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

"""k09: heavy queries. The contract is in README.md beside this file."""

import threading
from datetime import datetime, timezone

from fastapi import BackgroundTasks, FastAPI, HTTPException
from sqlalchemy import create_engine, func, select
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


Base.metadata.create_all(engine)

app = FastAPI()


def refresh_summary() -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    raise NotImplementedError


@app.post("/summary/refresh", status_code=202)
def refresh():
    raise NotImplementedError


@app.get("/summary")
def read_summary():
    raise NotImplementedError

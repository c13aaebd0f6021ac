"""No background task: the endpoint leaves a mark, a pure ASGI middleware does the work after it."""

import logging
import threading
from datetime import datetime, timezone

import anyio
from fastapi import FastAPI, HTTPException, Request
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.types import ASGIApp, Receive, Scope, Send

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

log = logging.getLogger("kata")
refreshing = threading.Event()
summary: dict = {}


def refresh_summary() -> None:
    """Compute the summary of all orders, and show it once it is whole."""
    totals = (
        select(
            Order.sku,
            func.sum(Order.quantity).label("quantity"),
            func.sum(Order.quantity * Order.price_cents).label("revenue_cents"),
        )
        .group_by(Order.sku)
        .order_by(Order.sku)
    )
    with Session(engine) as session:
        rows = [dict(row) for row in session.execute(totals).mappings()]
    summary.update(refreshed_at=datetime.now(timezone.utc).isoformat(), rows=rows)


class RefreshAfterTheAnswer:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
            if "refresh" in scope:
                await anyio.to_thread.run_sync(refresh_summary)
        except Exception:
            if "refresh" not in scope:
                raise
            log.exception("the summary could not be refreshed")
        finally:
            if "refresh" in scope:
                refreshing.clear()


app = FastAPI()
app.add_middleware(RefreshAfterTheAnswer)


@app.post("/summary/refresh", status_code=202)
async def refresh(request: Request):
    if refreshing.is_set():
        return {"status": "already refreshing"}
    refreshing.set()
    request.scope["refresh"] = True
    return {"status": "refreshing"}


@app.get("/summary")
async def read_summary():
    if not summary:
        raise HTTPException(404, "No summary yet")
    return dict(summary)

"""A record factory, set once, adds the id to every record; one coroutine is the task."""

import asyncio
import hashlib
import logging
import re
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.background import BackgroundTask

HOOK_URL = "https://hooks.example.com/events"

log = logging.getLogger("kata")
log.setLevel(logging.INFO)
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Event(Base):
    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[str]


Base.metadata.create_all(engine)

app = FastAPI()


ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

current_id: ContextVar[str | None] = ContextVar("current_id", default=None)
make_record = logging.getLogRecordFactory()


def make_record_with_id(*args: Any, **options: Any) -> logging.LogRecord:
    record = make_record(*args, **options)
    record.request_id = current_id.get() or "-"
    return record


logging.setLogRecordFactory(make_record_with_id)


def choose_id(asked: str | None) -> str:
    """The client's id where it is one, and a new one otherwise."""
    return asked if asked is not None and ID.fullmatch(asked) else uuid4().hex


def store(request_id: str, body: bytes) -> None:
    """Write the event's row."""
    log.info("stored")
    digest = hashlib.sha256(body).hexdigest()
    with Session(engine) as session:
        session.add(Event(request_id=request_id, size=len(body), sha256=digest))
        session.commit()


async def announce(request_id: str) -> None:
    """Tell the hook of the event."""
    log.info("announced")
    async with httpx.AsyncClient() as client:
        await client.post(HOOK_URL, headers={"X-Request-ID": request_id})


async def after_the_response(request_id: str, body: bytes) -> None:
    await asyncio.to_thread(store, request_id, body)
    await announce(request_id)


@app.post("/events")
async def receive_event(request: Request) -> Response:
    request_id = choose_id(request.headers.get("X-Request-ID"))
    current_id.set(request_id)
    log.info("received")
    body = b"".join([piece async for piece in request.stream()])
    return JSONResponse(
        {"request_id": request_id},
        status_code=202,
        headers={"X-Request-ID": request_id},
        background=BackgroundTask(after_the_response, request_id, body),
    )

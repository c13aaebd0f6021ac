"""No context at all: a `LoggerAdapter` is passed along, and a filter fills in `-` where there is none."""

import hashlib
import logging
import re
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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


def fill_in(record: logging.LogRecord) -> bool:
    if not hasattr(record, "request_id"):
        record.request_id = "-"
    return True


log.addFilter(fill_in)
Log = logging.LoggerAdapter[logging.Logger]


def choose_id(asked: str | None) -> str:
    """The client's id where it is one, and a new one otherwise."""
    return asked if asked is not None and ID.fullmatch(asked) else uuid4().hex


def store(log: Log, request_id: str, body: bytes) -> None:
    log.info("stored")
    digest = hashlib.sha256(body).hexdigest()
    with Session(engine) as session:
        session.add(Event(request_id=request_id, size=len(body), sha256=digest))
        session.commit()


async def announce(log: Log, request_id: str) -> None:
    log.info("announced")
    async with httpx.AsyncClient() as client:
        await client.post(HOOK_URL, headers={"X-Request-ID": request_id})


@app.post("/events")
async def receive_event(request: Request) -> JSONResponse:
    request_id = choose_id(request.headers.get("X-Request-ID"))
    own_log = logging.LoggerAdapter(log, {"request_id": request_id})
    own_log.info("received")
    tasks = BackgroundTasks()
    tasks.add_task(store, own_log, request_id, await request.body())
    tasks.add_task(announce, own_log, request_id)
    return JSONResponse(
        {"request_id": request_id}, 202, {"X-Request-ID": request_id}, background=tasks
    )

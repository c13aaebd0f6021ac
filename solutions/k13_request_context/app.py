"""Right because the body is read and the ContextVar set while the request is there, in a coroutine that the tasks
have their context from."""

import hashlib
import logging
import re
from contextvars import ContextVar
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, FastAPI, Request, Response
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

current_id: ContextVar[str] = ContextVar("current_id", default="-")


def add_request_id(record: logging.LogRecord) -> bool:
    """A filter that lets every record pass and says which request it is about."""
    record.request_id = current_id.get()
    return True


log.addFilter(add_request_id)


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


@app.post("/events", status_code=202)
async def receive_event(
    request: Request, response: Response, background_tasks: BackgroundTasks
) -> dict[str, str]:
    request_id = choose_id(request.headers.get("X-Request-ID"))
    current_id.set(request_id)
    log.info("received")
    background_tasks.add_task(store, request_id, await request.body())
    background_tasks.add_task(announce, request_id)
    response.headers["X-Request-ID"] = request_id
    return {"request_id": request_id}

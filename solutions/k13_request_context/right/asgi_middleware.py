"""A pure ASGI middleware chooses the id, sets the ContextVar and adds the header; one filter reads it."""

import hashlib
import logging
import re
from contextvars import ContextVar
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, FastAPI, Request
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class RequestId:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = choose_id(Headers(scope=scope).get("X-Request-ID"))

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        token = current_id.set(request_id)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            current_id.reset(token)


app.add_middleware(RequestId)


def store(size: int, digest: str) -> None:
    log.info("stored")
    with engine.begin() as connection:
        row = {"request_id": current_id.get(), "size": size, "sha256": digest}
        connection.execute(insert(Event), row)


async def announce() -> None:
    log.info("announced")
    async with httpx.AsyncClient(headers={"X-Request-ID": current_id.get()}) as client:
        await client.post(HOOK_URL)


@app.post("/events", status_code=202)
async def receive_event(request: Request, tasks: BackgroundTasks) -> dict[str, str]:
    log.info("received")
    size, digest = 0, hashlib.sha256()
    async for piece in request.stream():
        size += len(piece)
        digest.update(piece)
    tasks.add_task(store, size, digest.hexdigest())
    tasks.add_task(announce)
    return {"request_id": current_id.get()}

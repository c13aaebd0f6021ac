"""The endpoint is a plain function, whose context ends with it; coroutines that it depends on set the
ContextVar and read the body."""

import hashlib
import logging
import re
from contextvars import ContextVar
from typing import Annotated
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, Header, Request, Response
from sqlalchemy import create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

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


async def request_id_of(
    response: Response, x_request_id: Annotated[str | None, Header()] = None
) -> str:
    request_id = x_request_id or ""
    if not ID.fullmatch(request_id):
        request_id = str(uuid4())
    current_id.set(request_id)
    response.headers["X-Request-ID"] = request_id
    return request_id


async def body_of(request: Request) -> bytes:
    return await request.body()


def store(request_id: str, body: bytes) -> None:
    log.info("stored")
    values = {"id": request_id, "size": len(body), "digest": hashlib.sha256(body).hexdigest()}
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO events (request_id, size, sha256) VALUES (:id, :size, :digest)"),
            values,
        )


async def announce(request_id: str) -> None:
    log.info("announced")
    async with httpx.AsyncClient() as client:
        await client.post(HOOK_URL, headers={"X-Request-ID": request_id})


@app.post("/events", status_code=202)
def receive_event(
    request_id: Annotated[str, Depends(request_id_of)],
    body: Annotated[bytes, Depends(body_of)],
    tasks: BackgroundTasks,
) -> dict[str, str]:
    log.info("received")
    tasks.add_task(store, request_id, body)
    tasks.add_task(announce, request_id)
    return {"request_id": request_id}

"""`LIMIT` workers take the next subscriber from one iterator; the client is that of the lifespan."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import ForeignKey, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.background import BackgroundTask

LIMIT = 3

log = logging.getLogger("kata")
engine = create_engine("sqlite:///shop.db")


class Base(DeclarativeBase):
    pass


class Subscriber(Base):
    __tablename__ = "subscribers"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]


class Announcement(Base):
    __tablename__ = "announcements"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


class Delivery(Base):
    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(primary_key=True)
    announcement_id: Mapped[int] = mapped_column(ForeignKey("announcements.id"))
    subscriber_id: Mapped[int]
    status: Mapped[str]
    detail: Mapped[str | None]


Base.metadata.create_all(engine)


class NewAnnouncement(BaseModel):
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient() as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)

Recipient = tuple[int, str]
sending: set[int] = set()  # the announcements whose task has not ended


def record(announcement_id: int, subscriber_id: int, error: str | None) -> None:
    """Store how a call has ended."""
    status = "delivered" if error is None else "failed"
    with Session(engine) as session:
        session.add(
            Delivery(
                announcement_id=announcement_id,
                subscriber_id=subscriber_id,
                status=status,
                detail=error,
            )
        )
        session.commit()


async def call(client: httpx.AsyncClient, url: str, text: str) -> str | None:
    """Call one subscriber, and say what went wrong."""
    try:
        response = await client.post(url, json={"text": text})
    except Exception as error:
        return repr(error)
    return None if response.is_success else f"HTTP {response.status_code}"


def save(text: str) -> tuple[int, list[Recipient]]:
    """Store the announcement, and give its id and the subscribers of this moment."""
    with Session(engine) as session:
        announcement = Announcement(text=text)
        session.add(announcement)
        session.flush()
        rows = session.execute(select(Subscriber.id, Subscriber.url).order_by(Subscriber.id))
        recipients = [(row.id, row.url) for row in rows]
        session.commit()
        return announcement.id, recipients


async def deliver(announcement_id: int, text: str, recipients: list[Recipient]) -> None:
    left = iter(recipients)

    async def work() -> None:
        for subscriber_id, url in left:
            error = await call(app.state.client, url, text)
            await asyncio.to_thread(record, announcement_id, subscriber_id, error)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(LIMIT):
                group.create_task(work())
    except* Exception as errors:
        log.error("announcement %s is broken off", announcement_id, exc_info=errors)
    finally:
        sending.discard(announcement_id)


@app.post("/announcements")
async def announce(announcement: NewAnnouncement) -> JSONResponse:
    announcement_id, recipients = await run_in_threadpool(save, announcement.text)
    content = {"announcement_id": announcement_id}
    if not recipients:
        return JSONResponse(content, 202)
    sending.add(announcement_id)
    task = BackgroundTask(deliver, announcement_id, announcement.text, recipients)
    return JSONResponse(content, 202, background=task)


@app.get("/announcements/{id}")
def read_announcement(id: int) -> dict[str, int | str]:
    state = "sending" if id in sending else "sent"
    with Session(engine) as session:
        if session.get(Announcement, id) is None:
            raise HTTPException(404, "no such announcement")
        counts = dict(
            session.execute(
                select(Delivery.status, func.count())
                .where(Delivery.announcement_id == id)
                .group_by(Delivery.status)
            ).all()
        )
    return {
        "announcement_id": id,
        "state": state,
        "delivered": counts.get("delivered", 0),
        "failed": counts.get("failed", 0),
    }

"""The limit of a call is one of asyncio's, round the whole of it; httpx has none."""

import asyncio
import logging

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sqlalchemy import ForeignKey, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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
    state: Mapped[str]


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


app = FastAPI()


def save_delivery(
    announcement_id: int, subscriber_id: int, status: str, detail: str | None
) -> None:
    with Session(engine) as session, session.begin():
        session.add(
            Delivery(
                announcement_id=announcement_id,
                subscriber_id=subscriber_id,
                status=status,
                detail=detail,
            )
        )


def set_state(announcement_id: int, state: str) -> None:
    with Session(engine) as session, session.begin():
        session.get_one(Announcement, announcement_id).state = state


async def call(
    client: httpx.AsyncClient, announcement_id: int, text: str, subscriber_id: int, url: str
) -> None:
    try:
        response = await asyncio.wait_for(client.post(url, json={"text": text}), 60)
        status = "delivered" if response.is_success else "failed"
        detail = f"status {response.status_code}"
    except (TimeoutError, httpx.HTTPError) as exc:
        status, detail = "failed", repr(exc)
    if status == "failed":
        log.warning("%s: %s", url, detail)
    await run_in_threadpool(save_delivery, announcement_id, subscriber_id, status, detail)


async def worker(client: httpx.AsyncClient, announcement_id: int, text: str, subscribers) -> None:
    for subscriber in subscribers:
        await call(client, announcement_id, text, *subscriber)


async def deliver(announcement_id: int, text: str, subscribers: list[tuple[int, str]]) -> None:
    """Tell each subscriber, at most `LIMIT` at a time."""
    todo = iter(subscribers)
    try:
        async with httpx.AsyncClient(timeout=None) as client:
            results = await asyncio.gather(
                *(worker(client, announcement_id, text, todo) for _ in range(LIMIT)),
                return_exceptions=True,
            )
        for result in results:
            if isinstance(result, Exception):
                log.error("announcement %s", announcement_id, exc_info=result)
    finally:
        await run_in_threadpool(set_state, announcement_id, "sent")


@app.post("/announcements", status_code=202)
def announce(announcement: NewAnnouncement, tasks: BackgroundTasks):
    with Session(engine) as session:
        subscribers = [tuple(row) for row in session.execute(select(Subscriber.id, Subscriber.url))]
        row = Announcement(text=announcement.text, state="sending" if subscribers else "sent")
        session.add(row)
        session.commit()
        if subscribers:
            tasks.add_task(deliver, row.id, row.text, subscribers)
        return {"announcement_id": row.id}


@app.get("/announcements/{id}")
def read_announcement(id: int):
    with Session(engine) as session:
        row = session.get(Announcement, id)
        if row is None:
            raise HTTPException(404, "No such announcement")
        state = row.state
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

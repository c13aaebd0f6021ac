"""An `anyio.CapacityLimiter` and a task group; whether it is sent is told by a table of its own."""

import logging

import anyio
import httpx
from anyio.to_thread import run_sync
from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import ForeignKey, create_engine, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

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


class Progress(Base):
    __tablename__ = "progress"

    announcement_id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]


Base.metadata.create_all(engine)


class NewAnnouncement(BaseModel):
    text: str


app = FastAPI()


def save(announcement: NewAnnouncement) -> tuple[int, list[tuple[int, str]]]:
    with engine.begin() as connection:
        announcement_id = connection.scalar(
            insert(Announcement).values(text=announcement.text).returning(Announcement.id)
        )
        rows = connection.execute(select(Subscriber.id, Subscriber.url)).all()
        state = "sending" if rows else "sent"
        connection.execute(insert(Progress).values(announcement_id=announcement_id, state=state))
    return announcement_id, [tuple(row) for row in rows]


def record(announcement_id: int, subscriber_id: int, status: str, detail: str | None) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO deliveries (announcement_id, subscriber_id, status, detail)"
                " VALUES (:announcement, :subscriber, :status, :detail)"
            ),
            {
                "announcement": announcement_id,
                "subscriber": subscriber_id,
                "status": status,
                "detail": detail,
            },
        )


def end(announcement_id: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE progress SET state = 'sent' WHERE announcement_id = :id"),
            {"id": announcement_id},
        )


async def tell(
    client: httpx.AsyncClient, announcement_id: int, message: str, subscriber_id: int, url: str
) -> None:
    status, detail = "delivered", None
    try:
        response = await client.post(url, json={"text": message})
        response.raise_for_status()
    except Exception as error:
        status, detail = "failed", str(error) or type(error).__name__
    try:
        await run_sync(record, announcement_id, subscriber_id, status, detail)
    except Exception as error:
        log.error("subscriber %s", subscriber_id, exc_info=error)


async def deliver(announcement_id: int, message: str, subscribers: list[tuple[int, str]]) -> None:
    limiter = anyio.CapacityLimiter(LIMIT)

    async def tell_with_a_token(subscriber_id: int, url: str) -> None:
        async with limiter:
            await tell(client, announcement_id, message, subscriber_id, url)

    try:
        async with httpx.AsyncClient() as client, anyio.create_task_group() as group:
            for subscriber in subscribers:
                group.start_soon(tell_with_a_token, *subscriber)
    finally:
        await run_sync(end, announcement_id)


@app.post("/announcements", status_code=202)
def announce(announcement: NewAnnouncement, tasks: BackgroundTasks) -> dict[str, int]:
    announcement_id, subscribers = save(announcement)
    tasks.add_task(deliver, announcement_id, announcement.text, subscribers)
    return {"announcement_id": announcement_id}


@app.get("/announcements/{id}")
def read_announcement(id: int) -> dict[str, int | str]:
    query = text(
        "SELECT state, (SELECT count(*) FROM deliveries d"
        " WHERE d.announcement_id = :id AND status = 'delivered') AS delivered,"
        " (SELECT count(*) FROM deliveries d"
        " WHERE d.announcement_id = :id AND status = 'failed') AS failed"
        " FROM progress WHERE announcement_id = :id"
    )
    with engine.connect() as connection:
        row = connection.execute(query, {"id": id}).mappings().one_or_none()
    if row is None:
        raise HTTPException(404, "unknown")
    return {"announcement_id": id, **row}

"""A window of asyncio tasks: whenever one has ended, the next one is begun."""

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


async def tell(client: httpx.AsyncClient, announcement_id: int, text: str, to: Recipient) -> None:
    subscriber_id, url = to
    error = await call(client, url, text)
    await run_in_threadpool(record, announcement_id, subscriber_id, error)


async def deliver(announcement_id: int, text: str, recipients: list[Recipient]) -> None:
    under_way: set[asyncio.Task[None]] = set()
    try:
        async with httpx.AsyncClient() as client:
            for recipient in recipients:
                if len(under_way) == LIMIT:
                    _, under_way = await asyncio.wait(
                        under_way, return_when=asyncio.FIRST_COMPLETED
                    )
                job = tell(client, announcement_id, text, recipient)
                task = asyncio.create_task(job)
                task.add_done_callback(complain)
                under_way.add(task)
            if under_way:
                await asyncio.wait(under_way)
    finally:
        sending.discard(announcement_id)


def complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a delivery is not stored", exc_info=error)


@app.post("/announcements", status_code=202)
def announce(announcement: NewAnnouncement, tasks: BackgroundTasks) -> dict[str, int]:
    announcement_id, recipients = save(announcement.text)
    if recipients:
        sending.add(announcement_id)
    tasks.add_task(deliver, announcement_id, announcement.text, recipients)
    return {"announcement_id": announcement_id}


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

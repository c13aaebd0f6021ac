"""The connections of the client are the places, and a call waits for one as long as it takes."""

import asyncio
import logging

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException
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


async def deliver(announcement_id: int, text: str, recipients: list[Recipient]) -> None:
    """Tell each subscriber, at most `LIMIT` at a time."""

    async def tell(client: httpx.AsyncClient, subscriber_id: int, url: str) -> None:
        error = await call(client, url, text)
        try:
            await asyncio.to_thread(record, announcement_id, subscriber_id, error)
        except Exception:
            log.exception("announcement %s: a delivery is not stored", announcement_id)

    limits = httpx.Limits(max_connections=LIMIT)
    timeout = httpx.Timeout(10.0, pool=None)
    try:
        async with httpx.AsyncClient(limits=limits, timeout=timeout) as client:
            await asyncio.gather(*(tell(client, *recipient) for recipient in recipients))
    finally:
        sending.discard(announcement_id)


@app.post("/announcements", status_code=202)
def announce(announcement: NewAnnouncement, background_tasks: BackgroundTasks) -> dict[str, int]:
    announcement_id, recipients = save(announcement.text)
    if recipients:
        sending.add(announcement_id)
        background_tasks.add_task(deliver, announcement_id, announcement.text, recipients)
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

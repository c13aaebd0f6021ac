"""k15: many calls at once, but not too many. The contract is in README.md beside this file."""

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


async def deliver(announcement_id: int) -> None:
    """Tell each subscriber, at most `LIMIT` at a time."""
    raise NotImplementedError


@app.post("/announcements", status_code=202)
def announce(announcement: NewAnnouncement):
    raise NotImplementedError


@app.get("/announcements/{id}")
def read_announcement(id: int):
    raise NotImplementedError

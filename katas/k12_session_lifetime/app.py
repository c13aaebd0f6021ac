"""k12: how long a session lives. The contract is in README.md beside this file."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Annotated

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

SUMMARISE_URL = "https://ai-api.example.com/summarise"

log = logging.getLogger("kata")
engine = create_engine("sqlite:///shop.db", pool_size=2, max_overflow=0, pool_timeout=2)


class Base(DeclarativeBase):
    pass


class Article(Base):
    __tablename__ = "articles"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    body: Mapped[str]


class Summary(Base):
    __tablename__ = "summaries"

    article_id: Mapped[int] = mapped_column(primary_key=True)
    summary: Mapped[str]


Base.metadata.create_all(engine)


class NewArticle(BaseModel):
    title: str
    body: str


app = FastAPI()


def get_session() -> Iterator[Session]:
    """A session that is committed when the request is over."""
    with Session(engine) as session:
        yield session
        session.commit()


async def summarise(article_id: int) -> None:
    """Store the summary that the service makes of the article."""
    raise NotImplementedError


@app.post("/articles", status_code=201)
def create_article(article: NewArticle):
    raise NotImplementedError


@app.get("/articles/{id}")
def read_article(id: int):
    raise NotImplementedError

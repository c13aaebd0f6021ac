"""Right because each session is closed before anything slow begins, and the task is given values."""

import asyncio
import logging
from collections.abc import Iterator

import httpx
from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import create_engine, exists, insert, literal, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
)

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
    title: str = Field(min_length=1)
    body: str


app = FastAPI()


def get_session() -> Iterator[Session]:
    """A session that is committed when the request is over."""
    with Session(engine) as session:
        yield session
        session.commit()


def store(article_id: int, summary: str) -> None:
    """Store the summary, unless the article is gone."""
    article = select(literal(article_id), literal(summary)).where(
        exists().where(Article.id == article_id)
    )
    with Session(engine) as session:
        session.execute(insert(Summary).from_select(["article_id", "summary"], article))
        session.commit()


async def summarise(article_id: int, body: str) -> None:
    """Store the summary that the service makes of the article."""
    try:
        async with httpx.AsyncClient(timeout=60) as client:
            response = await client.post(SUMMARISE_URL, json={"text": body})
        summary = response.raise_for_status().json()["summary"]
        if not isinstance(summary, str):
            raise TypeError(f"the summary is no text: {summary!r}")
        await asyncio.to_thread(store, article_id, summary)
    except Exception:
        log.exception("article %s has no summary", article_id)


@app.post("/articles", status_code=201)
def create_article(article: NewArticle, background_tasks: BackgroundTasks) -> dict[str, int]:
    with Session(engine) as session:
        row = Article(title=article.title, body=article.body)
        session.add(row)
        session.commit()
        article_id = row.id
    background_tasks.add_task(summarise, article_id, article.body)
    return {"article_id": article_id}


@app.get("/articles/{id}")
def read_article(id: int) -> dict[str, str | None]:
    with Session(engine) as session:
        article = session.get(Article, id)
        if article is None:
            raise HTTPException(404, "no such article")
        summary = session.get(Summary, id)
        return {
            "title": article.title,
            "body": article.body,
            "summary": summary.summary if summary else None,
        }
